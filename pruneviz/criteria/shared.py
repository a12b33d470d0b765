"""One forward and backward pass from which all data-driven criteria are computed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pruneviz.channels import ChannelGraph
from pruneviz.criteria.evidence import FloatArray, Statistics, filter_rows, sum_over_members
from pruneviz.criteria.taps import Tap, find_taps, tapped
from pruneviz.criteria.terms import Scratch, UnitTerms, not_a_number
from pruneviz.errors import InvalidValueError
from pruneviz.outputs import class_logits

MOMENTS = frozenset({"total", "absolute", "spread", "positive"})
TERMS = frozenset({"term", "term_absolute", "term_square"})


class SharedPass:
    """Gathers `Statistics` over mini-batches, on a copy of the model in eval mode.

    Feature maps are summarised while they are computed and none is kept; a term needs the map
    until its gradient arrives. Gradients are those of each image's own loss, so the results do
    not depend on how the images are batched.
    """

    def __init__(self, model: nn.Module, graph: ChannelGraph, gathers: frozenset[str]) -> None:
        self.graph = graph
        self.model = private_copy(model)
        at = next(self.model.parameters())
        self.device, self.dtype = at.device, at.dtype
        self.moments = gathers & MOMENTS
        self.gathers_terms = bool(gathers & TERMS)
        self.weights: dict[str, nn.Parameter] = {}
        if "weight_term" in gathers:
            named = dict(self.model.named_parameters(remove_duplicate=False))
            layers = [n for n in graph.layers if n.maps_at and (n.prunable or not n.computed)]
            self.weights = {n.name: named[n.weight] for n in layers}
            for weight in self.weights.values():
                weight.requires_grad_(True)
        self.images = 0
        self.taps: list[Tap] = []
        self._terms: UnitTerms | None = None
        self._scratch = Scratch()
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._positions: dict[int, int] = {}
        self._responses: dict[str, list[Tensor]] | None = {} if "response" in gathers else None
        self._now: dict[str, tuple[Any, int]] = {}
        self._labels: list[Tensor] = []

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Run a mini-batch: images (N, C, H, W), normalised, and labels (N,)."""
        images = images.to(self.device, self.dtype)
        labels = labels.to(self.device)
        if not self.taps:
            self.taps = find_taps(self.model, self.graph, images[:2])
            if self.gathers_terms:
                self._terms = UnitTerms(self.graph, self.taps, self._scratch.dot, self.device)
        if self._terms is not None and not self.weights:
            images = images.detach().requires_grad_(True)  # no weight asks for gradients
        needs_gradient = self._terms is not None or bool(self.weights)
        with torch.set_grad_enabled(needs_gradient):
            with tapped(self.model, self.taps, self._receive):
                output = self.model(images)
            loss = summed_loss(output, labels) if needs_gradient else None
        if loss is not None and loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        if self._terms is not None:
            self._terms.end_batch(len(images))
        if self._responses is not None:
            self._labels.append(labels.cpu())
            for name, (total, size) in self._now.items():
                self._responses.setdefault(name, []).append((total / size).cpu())
            self._now = {}
        self.images += len(images)

    def _receive(self, index: int, map: Tensor) -> None:
        tap = self.taps[index]
        value = tap.by_image(map.detach())
        self._positions[index] = value.shape[2]
        with torch.no_grad():
            for name, total in self._moments(value):
                key = (tap.layer.name, name)
                self._sums[key] = self._sums[key] + total if key in self._sums else total
            if self._responses is not None:
                before, size = self._now.get(tap.layer.name, (0, 0))
                self._now[tap.layer.name] = before + value.sum(2), size + value.shape[2]
        if self._terms is not None:
            self._terms.watch(index, map, value)

    def _moments(self, map: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Sums (C,) over images and positions of a map (N, C, P).

        The spread around the mean comes in two parts, that within each image and that between
        images: taken from the sum of squares, it would drown in rounding errors.
        """
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        total, scratch = map.sum(2), self._scratch.like(map)
        yield "total", total.sum(0, dtype=wide)
        if "absolute" in self.moments:
            yield "absolute", torch.abs(map, out=scratch).sum(2).sum(0, dtype=wide)
        if "positive" in self.moments:
            torch.gt(map, 0, out=scratch)  # booleans would be summed far more slowly
            yield "positive", scratch.sum(2).sum(0, dtype=wide)
        if "spread" in self.moments:
            size = map.shape[2]
            torch.sub(map, (total / size)[:, :, None], out=scratch)
            norm: Tensor = torch.linalg.vector_norm(scratch, 2, 2)
            yield "within", norm.to(wide).square().sum(0)
            yield "between", total.to(wide).square().sum(0) / size

    def result(self) -> Statistics:
        """What was gathered so far.

        Raises:
            InvalidValueError: A feature map, or a gradient, is no number; names the first layer.
        """
        sums = {key: value.cpu().double().numpy() for key, value in self._sums.items()}
        count: dict[str, int] = {}
        positions: dict[str, FloatArray] = {}
        for index, tap in enumerate(self.taps):
            name = tap.layer.name
            # The total is always summed: it is cheap, and shows values that are no numbers.
            if not np.isfinite(sums[name, "total"]).all():
                raise InvalidValueError(
                    f"The feature map of layer '{name}' holds values that are not finite (NaN or "
                    "infinite). Check the weights and norms up to this layer."
                )
            count[name] = count.get(name, 0) + self.images * self._positions[index]
            size = 0 if tap.inner else self._positions[index]
            ones = np.full(tap.layer.out_channels, float(size))
            positions[name] = positions.get(name, 0) + ones
        weight = {n: self._weight_term(n) for n in self.weights}
        none = np.zeros(self.graph.num_units)
        term, absolute, square = self._terms.sums() if self._terms else (none, none, none)
        return Statistics(
            images=self.images,
            count=count,
            absolute={n: sums[n, "absolute"] for n in count if "absolute" in self.moments},
            positive={n: sums[n, "positive"] for n in count if "positive" in self.moments},
            spread={
                n: sums[n, "within"] + sums[n, "between"] - sums[n, "total"] ** 2 / count[n]
                for n in count
                if "spread" in self.moments
            },
            response={
                name: torch.cat(parts).double().numpy()
                for name, parts in (self._responses or {}).items()
            },
            labels=torch.cat(self._labels).numpy() if self._labels else np.zeros(0, np.int64),
            positions=sum_over_members(self.graph, positions),
            term=term,
            term_absolute=absolute,
            term_square=square,
            weight_term=sum_over_members(self.graph, weight),
        )

    def _weight_term(self, name: str) -> FloatArray:
        """(out_channels,) sum of weight × gradient of the mean loss over each filter."""
        layer, weight = self.graph.layer(name), self.weights[name]
        if weight.grad is None:
            return np.zeros(layer.out_channels)
        product = weight.detach().cpu().double() * weight.grad.cpu().double()
        term = filter_rows(product.numpy(), layer).sum(axis=1) / max(self.images, 1)
        if not np.isfinite(term).all():
            raise not_a_number(name)
        return np.asarray(term)


def private_copy(model: nn.Module) -> nn.Module:
    """A copy in eval mode whose parameters ask for no gradients, in single precision or better.

    The caller's model may be in use elsewhere, and stays as it is; sums of half precision values
    would overflow.
    """
    own = copy.deepcopy(model).eval().requires_grad_(False)
    return own.float() if next(own.parameters()).dtype.itemsize < 4 else own


def summed_loss(output: Any, labels: Tensor) -> Tensor:
    """Cross-entropy summed over images, so that each image's gradient is that of its own loss."""
    logits = class_logits(output, int(labels.max()) + 1)
    return cross_entropy(logits, labels, reduction="sum")

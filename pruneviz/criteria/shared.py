"""One forward and backward pass from which all data-driven criteria are computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pruneviz.channels import ChannelGraph
from pruneviz.criteria.evidence import FloatArray, Statistics, filter_rows, sum_over_members
from pruneviz.criteria.taps import Tap, find_taps, tapped
from pruneviz.errors import DataError, InvalidValueError

MOMENTS = frozenset({"total", "absolute", "square", "positive"})
TERMS = frozenset({"term", "term_absolute", "term_square"})

Progress = Callable[[int, int], None]


class SharedPass:
    """Gathers `Statistics` over mini-batches, on a copy of the model in eval mode.

    Feature maps are summarised while they are computed and none is kept; a term needs the map
    until its gradient arrives. Gradients are those of each image's own loss, so the results do
    not depend on how the images are batched.
    """

    def __init__(self, model: nn.Module, graph: ChannelGraph, gathers: frozenset[str]) -> None:
        self.graph = graph
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.device = next(self.model.parameters()).device
        self.dtype = next(self.model.parameters()).dtype
        if self.dtype.itemsize < 4:  # sums of half precision values overflow
            self.model, self.dtype = self.model.float(), torch.float32
        self.wide = torch.float32 if self.device.type == "mps" else torch.float64
        # The total is always summed: it is cheap, and shows values that are no numbers.
        self.moments = tuple(sorted((gathers & MOMENTS) | {"total"}))
        self.terms = bool(gathers & TERMS)
        self.weights: dict[str, nn.Parameter] = {}
        if "weight_term" in gathers:
            named = dict(self.model.named_parameters(remove_duplicate=False))
            self.weights = {n.name: named[n.weight] for n in graph.layers if n.maps_at}
            for weight in self.weights.values():
                weight.requires_grad_(True)
        self.taps: list[Tap] = []
        self.images = 0
        self._sums: dict[tuple[str, str], Tensor] = {}
        self._unit_sums = torch.zeros(3, graph.num_units, dtype=self.wide, device=self.device)
        self._units: Tensor | None = None
        self._batch: dict[int, Tensor] = {}
        self._positions: dict[int, int] = {}
        self._memory = torch.empty(0)

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Run a mini-batch: images (N, C, H, W), normalised, and labels (N,)."""
        images = images.to(self.device, self.dtype)
        labels = labels.to(self.device)
        if not self.taps:
            self.taps = find_taps(self.model, self.graph, images[:2])
            units = [torch.tensor(t.layer.units) for t in self.taps]
            self._units = torch.cat(units).to(self.device)
        self._batch = {}
        needs_gradient = self.terms or bool(self.weights)
        if self.terms and not self.weights:
            images = images.detach().requires_grad_(True)
        with torch.set_grad_enabled(needs_gradient):
            with tapped(self.model, self.taps, self._receive):
                output = self.model(images)
            loss = summed_loss(output, labels) if needs_gradient else None
        if loss is not None and loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        self._add_terms(len(images))
        self.images += len(images)

    def _receive(self, index: int, map: Tensor) -> None:
        tap = self.taps[index]
        value = tap.by_image(map.detach())
        self._positions[index] = value.shape[2]
        with torch.no_grad():
            for name in self.moments:
                key = (tap.layer.name, name)
                found = self._moment(name, value).sum(0, dtype=self.wide)
                self._sums[key] = self._sums[key] + found if key in self._sums else found
        if self.terms:
            self._watch(index, tap, map, value)

    def _moment(self, name: str, map: Tensor) -> Tensor:
        """(N, C) a moment of (N, C, P), summed over positions."""
        if name == "total":
            return map.sum(2)
        if name == "square":
            norm: Tensor = torch.linalg.vector_norm(map, 2, 2)
            return norm.square()
        scratch = self._scratch(map)
        if name == "absolute":
            return torch.abs(map, out=scratch).sum(2)
        torch.gt(map, 0, out=scratch)  # booleans would be summed far more slowly
        return scratch.sum(2)

    def _dot(self, a: Tensor, b: Tensor) -> Tensor:
        """(N, C, P), (N, C, P) -> (N, C) sum of products over positions."""
        return torch.mul(a, b, out=self._scratch(a)).sum(2)

    def _scratch(self, like: Tensor) -> Tensor:
        """Memory of that shape, used again and again: fresh memory costs more than the sums."""
        size = like.numel()
        if self._memory.numel() < size or self._memory.dtype != like.dtype:
            self._memory = torch.empty(size, dtype=like.dtype, device=like.device)
        return self._memory[:size].view(like.shape)

    def _watch(self, index: int, tap: Tap, map: Tensor, value: Tensor) -> None:
        """Have the term computed as soon as the map's gradient is known."""
        if not map.requires_grad:
            if tap.layer.prunable:
                raise InvalidValueError(
                    f"No gradient reaches layer '{tap.layer.name}': the network computes it "
                    "without gradients (torch.no_grad or detach). Choose a criterion that needs "
                    "none, such as 'l1'."
                )
            return
        kept = value.clone() if tap.overwritten else value

        def on_gradient(gradient: Tensor) -> None:
            self._batch[index] = self._dot(kept, tap.by_image(gradient))

        map.register_hook(on_gradient)  # type: ignore[no-untyped-call]

    def _add_terms(self, count: int) -> None:
        """Sum each unit's terms over its channels, image by image, then over the images."""
        if not self.terms:
            return
        assert self._units is not None
        rows = [
            self._batch[i].to(self.wide).t()
            if i in self._batch
            else torch.zeros(t.layer.out_channels, count, dtype=self.wide, device=self.device)
            for i, t in enumerate(self.taps)
        ]
        of_unit = torch.zeros(self.graph.num_units, count, dtype=self.wide, device=self.device)
        of_unit.index_add_(0, self._units, torch.cat(rows))
        self._unit_sums += torch.stack([of_unit.sum(1), of_unit.abs().sum(1), (of_unit**2).sum(1)])
        self._batch = {}

    def result(self) -> Statistics:
        """What was gathered so far.

        Raises:
            InvalidValueError: A feature map, or a gradient, is no number; names the first layer.
        """
        sums = {key: _array(value) for key, value in self._sums.items()}
        count: dict[str, int] = {}
        positions: dict[str, FloatArray] = {}
        for index, tap in enumerate(self.taps):
            name = tap.layer.name
            count[name] = count.get(name, 0) + self.images * self._positions[index]
            ones = np.full(tap.layer.out_channels, float(self._positions[index]))
            positions[name] = positions.get(name, 0) + ones
        term, absolute, square = (_array(row) for row in self._unit_sums)
        weight = {
            name: _rows_dot(self.graph, name, weight) / max(self.images, 1)
            for name, weight in self.weights.items()
        }
        self._check(sums, square, weight)
        by_moment = {m: {n: sums[n, m] for n in count} for m in self.moments}
        return Statistics(
            images=self.images,
            count=count,
            **by_moment,
            positions=sum_over_members(self.graph, positions),
            term=term,
            term_absolute=absolute,
            term_square=square,
            weight_term=sum_over_members(self.graph, weight),
        )

    def _check(
        self,
        sums: dict[tuple[str, str], FloatArray],
        square: FloatArray,
        weight: dict[str, FloatArray],
    ) -> None:
        for tap in self.taps:
            name = tap.layer.name
            if not all(np.isfinite(sums[name, m]).all() for m in self.moments):
                raise InvalidValueError(
                    f"The feature map of layer '{name}' holds values that are no numbers (NaN or "
                    "infinite). Check the weights and norms up to this layer."
                )
        for tap in self.taps:
            name = tap.layer.name
            fine = np.isfinite(square[tap.layer.units]).all()
            if not fine or (name in weight and not np.isfinite(weight[name]).all()):
                raise InvalidValueError(
                    f"The gradient of the loss at layer '{name}' holds values that are no numbers "
                    "(NaN or infinite). Check the network's weights and the images."
                )


def summed_loss(output: Any, labels: Tensor) -> Tensor:
    """Cross-entropy summed over images, so that each image's gradient is that of its own loss.

    Raises:
        DataError: There are labels that the network has no output for.
    """
    logits = output if isinstance(output, Tensor) else next(_tensors(output))
    if logits.ndim != 2 or int(labels.max()) >= logits.shape[1]:
        raise DataError(
            "The network must give one output a class, but its output has the shape "
            f"{tuple(logits.shape)} and there is a label {int(labels.max())}; load it with as many "
            "classes as the data have and fine-tune it first."
        )
    return cross_entropy(logits, labels, reduction="sum")


def _tensors(output: Any) -> Iterator[Tensor]:
    values = output.values() if isinstance(output, dict) else output
    yield from (v for v in values if isinstance(v, Tensor))


def _array(tensor: Tensor) -> FloatArray:
    values: FloatArray = tensor.detach().cpu().double().numpy()
    return values


def _rows_dot(graph: ChannelGraph, name: str, weight: nn.Parameter) -> FloatArray:
    """(out_channels,) sum of weight × gradient over each filter."""
    layer = graph.layer(name)
    if weight.grad is None:
        return np.zeros(layer.out_channels)
    product = weight.detach().double() * weight.grad.double()
    return np.asarray(filter_rows(_array(product), layer).sum(axis=1))

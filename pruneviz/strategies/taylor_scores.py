"""Taylor scores gathered while a network trains: a gate of ones on every feature map.

With a gate g = 1 on the map z of filter k for image n, the gradient that training computes anyway
gives

    dC/dg[n, k] = sum over positions of dC/dz[n, k] * z[n, k],

so the criterion of Molchanov et al. (2016), |1/M sum dC/dz * z| averaged over the images, needs no
extra pass, and no map has to be kept. Multiplying by one changes no weight that comes out.
Coupled channels are one unit: as in the criteria of these names, their sums are added before
the absolute value is taken, and M is the size of all their maps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.plan import Plan
from pruneviz.strategies.budget import FloatArray
from pruneviz.torch_calls import CallWatcher

GATHERED = ("taylor_image", "taylor")
"""The criteria that gates give: the absolute value taken for each image, or of the mean."""


class _FloatCalls(CallWatcher):
    """Counts the calls of a forward pass that return a floating-point tensor (`floats`, from 0).

    Only these, because in training batch norm also counts its batches, in integers.
    """

    floats = -1

    def __enter__(self) -> Self:
        self.floats = -1
        return super().__enter__()

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.is_floating_point():
            self.floats += 1
            return self.replaced(out)
        return out

    def replaced(self, out: Tensor) -> Tensor:
        """Return what the network gets instead of `out`."""
        return out


class _Sequence(_FloatCalls):
    """Notes which call returns which floating-point tensor, and their shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, int] = {}
        self.shapes: list[tuple[int, ...]] = []

    def replaced(self, out: Tensor) -> Tensor:
        self.at[self.index] = self.floats
        self.shapes.append(tuple(out.shape))
        return out


def locate(network: nn.Module, graph: ChannelGraph) -> dict[int, Layer] | None:
    """Which floating-point call of a training pass returns which prunable layer's feature map.

    None if training makes other calls than evaluation (GoogLeNet's extra heads, stochastic
    depth), so that counting cannot identify the maps.
    """
    trial = copy.deepcopy(network)
    x = torch.zeros(2, *graph.input_shape, device=next(trial.parameters()).device)
    seen = []
    with torch.random.fork_rng(), torch.no_grad():
        for training in (True, False):
            trial.train(training)
            with _Sequence() as sequence:
                trial(x)
            seen.append(sequence)
    if seen[0].shapes != seen[1].shapes:
        return None
    return {
        seen[1].at[call]: layer
        for layer in graph.layers
        if layer.prunable
        for call in layer.maps_at
    }


class Gates(_FloatCalls):
    """Opens a gate on every layer's feature map in one forward pass; scores add up over passes."""

    def __init__(self, graph: ChannelGraph, plan: Plan, at: Mapping[int, Layer]) -> None:
        super().__init__()
        self._graph = graph
        self._plan = plan
        self._at = at
        self._open: list[tuple[Layer, Tensor, int]] = []
        self._absolute = np.zeros(graph.num_units)
        self._signed = np.zeros(graph.num_units)
        self._images = 0

    def __enter__(self) -> Self:
        self._open = []
        return super().__enter__()

    def replaced(self, out: Tensor) -> Tensor:
        """The tensor behind a gate, if it is a feature map."""
        layer = self._at.get(self.floats)
        if layer is None:
            return out
        dim = channel_dim(layer, out)
        kept = int(self._plan.kept[layer.units].sum())
        if out.shape[dim] != kept:
            raise RuntimeError(
                f"The feature map of layer '{layer.name}' has {out.shape[dim]} channels, but the "
                f"layer has {kept} filters."
            )
        shape = [1] * out.ndim
        shape[0], shape[dim] = out.shape[0], out.shape[dim]
        gate = torch.ones(shape, device=out.device, dtype=out.dtype, requires_grad=True)
        self._open.append((layer, gate, out.numel() // (out.shape[0] * out.shape[dim])))
        return out * gate

    def collect(self) -> None:
        """Add the gradients that the backward pass of the mean loss left on the gates."""
        images = self._open[0][1].shape[0]
        terms = torch.zeros(images, self._graph.num_units, dtype=torch.float64)
        size = np.zeros(self._graph.num_units)
        for layer, gate, positions in self._open:
            if gate.grad is None:  # the map is not used
                continue
            stay = layer.units[self._plan.kept[layer.units]]
            slopes = gate.grad.flatten(1).cpu().double()
            terms.index_add_(1, torch.from_numpy(stay), slopes * images)
            np.add.at(size, stay, positions)
        self._absolute += terms.abs().sum(0).numpy() / np.maximum(size, 1)
        self._signed += terms.sum(0).numpy() / np.maximum(size, 1)
        self._images += images
        self._open = []

    def scores(self, criterion: str = "taylor_image") -> FloatArray:
        """(num_units,) scores by one of `GATHERED`, nan for units that are gone."""
        total = self._absolute if criterion == "taylor_image" else np.abs(self._signed)
        there = self._plan.kept & self._graph.prunable
        return np.where(there, total / max(self._images, 1), np.nan)


def channel_dim(layer: Layer, out: Tensor) -> int:
    """Where a feature map's filters lie: (N, C, H, W) after convolutions, last after linear."""
    return out.ndim - 1 if layer.kind == "linear" else 1

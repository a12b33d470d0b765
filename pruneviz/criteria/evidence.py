"""What criteria are computed from: weights, what the shared pass gathered, and the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import Tensor, nn

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """What one pass over the images gathers.

    By layer, for each of its C filters, over all images and positions of its feature maps:
    `count` values, their `total`, sum of absolute values (`absolute`), sum of squares (`square`),
    and how many are above zero (`positive`).

    By unit: a unit's feature map is that of all its channels end to end; its `term` on one image
    is the sum over that map of activation × gradient of the loss, which is the first-order change
    of the loss when the unit is silenced. Gathered are the terms' sum (`term`), sum of absolute
    values (`term_absolute`) and of squares (`term_square`) over `images`, and the map's size
    (`positions`). `weight_term` is the sum of weight × gradient of the mean loss over the weights
    of the unit's filters.
    """

    images: int
    count: Mapping[str, int] = field(default_factory=dict)
    total: Mapping[str, FloatArray] = field(default_factory=dict)
    absolute: Mapping[str, FloatArray] = field(default_factory=dict)
    square: Mapping[str, FloatArray] = field(default_factory=dict)
    positive: Mapping[str, FloatArray] = field(default_factory=dict)
    positions: FloatArray = field(default_factory=lambda: np.zeros(0))
    term: FloatArray = field(default_factory=lambda: np.zeros(0))
    term_absolute: FloatArray = field(default_factory=lambda: np.zeros(0))
    term_square: FloatArray = field(default_factory=lambda: np.zeros(0))
    weight_term: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything a criterion may look at."""

    graph: ChannelGraph
    model: nn.Module
    seed: int = 0
    statistics: Statistics | None = None
    images: Tensor | None = None
    """(N, C, H, W) normalised, on the model's device."""
    labels: Tensor | None = None
    """(N,) classes."""
    batch_size: int = 64

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The model's parameters and buffers by name, those shared under every name."""
        named = dict(self.model.named_parameters(remove_duplicate=False))
        return {**named, **dict(self.model.named_buffers(remove_duplicate=False))}

    def array(self, name: str) -> FloatArray:
        """A stored tensor as numbers.

        Raises:
            InvalidValueError: It is missing, has another shape than in the graph, or holds NaN.
        """
        tensor = self.tensors.get(name)
        shape = self._shapes[name]
        if tensor is None or tuple(tensor.shape) != shape:
            found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
            raise InvalidValueError(
                f"The graph was traced from another network: '{name}' has shape {shape} there and "
                f"{found} in this model. Trace this model first."
            )
        values: FloatArray = tensor.detach().cpu().double().numpy()
        if not np.isfinite(values).all():
            layer = name.rpartition(".")[0] or name
            raise InvalidValueError(
                f"Layer '{layer}' has weights that are no numbers ({_bad(values)}); load weights "
                "that are whole, or train with a lower learning rate."
            )
        return values

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {slots.name: slots.shape for slots in self.graph.tensors}

    def filters(self, layer: Layer) -> FloatArray:
        """(out_channels, K) the weights of each filter in a row; the bias is not among them."""
        weight = self.array(layer.weight)
        return filter_rows(weight, layer)

    @property
    def gathered(self) -> Statistics:
        """What the shared pass gathered."""
        assert self.statistics is not None, "the criterion did not say what it gathers"
        return self.statistics


def filter_rows(weight: FloatArray, layer: Layer) -> FloatArray:
    """(out_channels, K): the rows of a convolution or linear weight, one a filter.

    A transposed convolution stores (in, out / groups, ...); its filters are gathered by group.
    """
    if "transpose" not in layer.kind:
        return weight.reshape(layer.out_channels, -1)
    groups = layer.conv_groups
    grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return np.moveaxis(grouped, 2, 1).reshape(layer.out_channels, -1)


def mean_over_members(graph: ChannelGraph, values: Mapping[str, FloatArray]) -> FloatArray:
    """(num_units,) mean over the channels of each unit, of values given by layer (C,).

    Layers without values are left out; units of which no channel has one get 0.
    """
    total, count = np.zeros(graph.num_units), np.zeros(graph.num_units)
    for name, value in values.items():
        units = graph.layer(name).units
        np.add.at(total, units, value)
        np.add.at(count, units, 1)
    return total / np.maximum(count, 1)


def sum_over_members(graph: ChannelGraph, values: Mapping[str, FloatArray]) -> FloatArray:
    """(num_units,) sum over the channels of each unit, of values given by layer (C,)."""
    total = np.zeros(graph.num_units)
    for name, value in values.items():
        np.add.at(total, graph.layer(name).units, value)
    return total


def _bad(values: FloatArray) -> str:
    nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    return f"{nan} NaN and {infinite} infinite of {values.size}"

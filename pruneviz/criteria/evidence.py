"""What criteria are computed from: the network, its weights, and statistics of one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruneviz.data import ImageSet

FloatArray = npt.NDArray[np.float64]

PIXELS = 1 << 20
"""Pixels in a mini-batch where no batch size is given: about what keeps memory near a gigabyte."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What one pass over the images gathers.

    By layer, for each of its C filters, over all images and positions of its feature maps:
    `count` values, the sum of their absolute values (`absolute`), the sum of the squares of their
    differences from their mean (`spread`), and how many are above zero (`positive`); and each
    image's mean (`response`, (N, C)), beside the images' `labels` (N,).

    By unit: a unit's feature map is that of all its channels end to end (without a map that only
    goes into a depthwise convolution of the same units, in whose map it shows); its `term` on one
    image is the sum over that map of activation × gradient of the loss, which is the first-order
    change of the loss when the unit is silenced. Gathered are the terms' sum (`term`), sum of
    absolute values (`term_absolute`) and of squares (`term_square`) over `images`, and the map's
    size (`positions`). `weight_term` is the sum of weight × gradient of the mean loss over the
    weights of the unit's filters.
    """

    images: int
    count: Mapping[str, int] = field(default_factory=dict)
    absolute: Mapping[str, FloatArray] = field(default_factory=dict)
    spread: Mapping[str, FloatArray] = field(default_factory=dict)
    positive: Mapping[str, FloatArray] = field(default_factory=dict)
    response: Mapping[str, FloatArray] = field(default_factory=dict)
    labels: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    positions: FloatArray = field(default_factory=lambda: np.zeros(0))
    term: FloatArray = field(default_factory=lambda: np.zeros(0))
    term_absolute: FloatArray = field(default_factory=lambda: np.zeros(0))
    term_square: FloatArray = field(default_factory=lambda: np.zeros(0))
    weight_term: FloatArray = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that a criterion may use."""

    graph: ChannelGraph
    model: nn.Module
    seed: int = 0
    statistics: Statistics | None = None
    images: ImageSet | None = None
    """The images that criteria look at."""
    batch_size: int | None = None
    """Images in a mini-batch, where the caller chose it."""
    report: Callable[[int, int], None] = field(default=lambda done, total: None, repr=False)
    """To be called with the images done and their number by criteria that take long."""

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The model's parameters and buffers by name, those shared under every name."""
        named = dict(self.model.named_parameters(remove_duplicate=False))
        return {**named, **dict(self.model.named_buffers(remove_duplicate=False))}

    def array(self, name: str) -> npt.NDArray[np.floating[Any]]:
        """A stored tensor as an array in its own precision (at least single).

        Raises:
            InvalidValueError: It is missing, or has another shape than in the graph.
        """
        tensor = self.tensors.get(name)
        shape = self._shapes[name]
        if tensor is None or tuple(tensor.shape) != shape:
            problem = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
            raise InvalidValueError(
                f"The graph was traced from another network: '{name}' has shape {shape} there and "
                f"{problem} in this model. Trace this model first."
            )
        tensor = tensor.detach().cpu()
        tensor = tensor.float() if tensor.dtype.itemsize < 4 else tensor
        values: npt.NDArray[np.floating[Any]] = tensor.numpy()
        return values

    def check(self) -> None:
        """Make sure that this is the graph's network, and that its weights are numbers.

        Raises:
            InvalidValueError: It is another network, or a tensor holds NaN or infinite values.
        """
        for slots in self.graph.tensors:
            values = self.array(slots.name)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                nan, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
                path, _, own = slots.name.rpartition(".")
                raise InvalidValueError(
                    f"Layer '{path or own}' has a {own} that is not finite ({nan} NaN and "
                    f"{infinite} infinite of {values.size} values); load intact weights, or "
                    "train with a lower learning rate."
                )

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {slots.name: slots.shape for slots in self.graph.tensors}

    def filters(self, layer: Layer) -> npt.NDArray[np.floating[Any]]:
        """(out_channels, K) the weights of each filter in a row; the bias is not among them."""
        if layer.computed:
            return filter_rows(self._applied[layer.name], layer)
        return filter_rows(self.array(layer.weight), layer)

    @cached_property
    def _applied(self) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """The weights that layers compute while the network runs, by layer."""
        from pruneviz.trace.applied import applied_weights

        weights = applied_weights(self.model, self.graph)
        return {name: weight.cpu().float().numpy() for name, weight in weights.items()}

    @property
    def seen(self) -> ImageSet:
        """The images that criteria look at."""
        assert self.images is not None, "the criterion did not say that it needs data"
        return self.images

    @property
    def gathered(self) -> Statistics:
        """What the shared pass gathered."""
        assert self.statistics is not None, "the criterion did not say what it gathers"
        return self.statistics


def filter_rows(
    weight: npt.NDArray[np.floating[Any]], layer: Layer
) -> npt.NDArray[np.floating[Any]]:
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


def usual_batch(graph: ChannelGraph) -> int:
    """Images in a mini-batch where the caller did not choose."""
    return max(1, min(64, PIXELS // int(np.prod(graph.input_shape[1:]))))

"""The channel graph: which channels of a network must go together.

A *unit* is the smallest thing that can be removed: a set of channels, in one or more layers, that
are coupled (by an addition, a gate, a grouped convolution, ...). A *group* gathers the units that
have the same shape and live in the same layers: one layer's filters in a plain network, the
residual stream of a whole stage in a ResNet.

The graph is a plain value: numpy arrays and names. It is made by `pruneviz.trace` and can be
pickled, kept and used without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import instance, one_of, whole
from pruneviz.drawing import Shown, draw
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer: its output channels are what pruning removes."""

    name: str
    kind: str
    out_channels: int
    in_channels: int
    kernel: tuple[int, ...]
    conv_groups: int
    positions: int
    """Positions per image at which the weight is applied (input positions if transposed)."""
    macs: int
    """Multiply-adds per image: positions times the number of weight elements."""
    parameters: int
    """Weight and bias elements of this layer alone."""
    group: str
    """The group to which most of its filters belong."""
    groups: tuple[str, ...]
    prunable: bool
    reason: str | None
    """Why no filter of the layer can be removed; None if some can."""
    maps_at: tuple[int, ...]
    """Which intercepted torch calls of a forward pass give the layer's feature map (after the
    normalisation and activation that follow it directly)."""
    weight: str
    """Qualified name of the weight in the model's state dict; of the part of its shape where the
    weight is computed."""
    units: IntArray = field(repr=False, compare=False)
    """(out_channels,) the unit of each filter."""
    called_at: int = -1
    """The first intercepted torch call of a forward pass that applies the weight."""
    computed: bool = False
    """Whether the weight is computed while the network runs (weight norm, standardisation)."""


@dataclass(frozen=True)
class Group:
    """Units of the same shape in the same layers; a pruning ratio is a ratio of these."""

    name: str
    layers: tuple[str, ...]
    width: int
    """Number of units."""
    channels: int
    """Channels in one unit, summed over the layers."""
    prunable: bool
    reason: str | None
    maskable: bool
    """Whether zeroing gives exactly the pruned network's outputs."""
    note: str
    """Why these channels go together."""
    start: int
    """Global index of the first unit."""

    @property
    def units(self) -> range:
        """Global indices of the group's units."""
        return range(self.start, self.start + self.width)


@dataclass(frozen=True)
class TensorSlots:
    """A parameter or buffer, and which of its slices belong to which unit."""

    name: str
    shape: tuple[int, ...]
    is_parameter: bool
    positions: int
    """How often per image every element is multiplied (0 for all but layers' weights)."""
    slots: Mapping[int, IntArray] = field(repr=False, compare=False)
    """Dimension -> (size,) unit of each slice, -1 for slices that always stay."""
    reads: tuple[int, ...] = ()
    """The dimensions along which the tensor reads its layer's input."""
    unsilenced: tuple[int, ...] = ()
    """The dimensions along which masking leaves the tensor alone: the network divides by their
    norm, and zeroing the other tensors is enough."""


@dataclass(frozen=True)
class GroupedModule:
    """A grouped convolution or group norm that loses whole groups when its units are pruned."""

    module: str
    groups: int
    tensor: str = ""
    """The stored tensor whose first dimension shrinks in step."""


@dataclass(frozen=True)
class Input:
    """One tensor that a network takes."""

    shape: tuple[int, ...]
    """Its sizes for one example, the batch of 1 included."""
    name: str = ""
    """Its name, where tensors are passed by name."""
    dtype: str = "float"
    """torch's name of its type; "float" is whatever type the weights have."""


@dataclass(frozen=True)
class SizeInCode:
    """A number of channels that a module keeps as an attribute and reads while it runs."""

    module: str
    attribute: str
    index: int | None
    """The place in the attribute, where that is a list or tuple."""
    units: IntArray = field(repr=False, compare=False)
    """(value,) the unit of each channel that it counts, -1 for those that always stay."""


WireKind = Literal["reads", "adds", "multiplies", "concatenates"]


@dataclass(frozen=True)
class Wire:
    """A connection: one layer's output enters another layer, or is combined with its output."""

    source: str
    target: str
    kind: WireKind


@dataclass(frozen=True, eq=False)
class ChannelGraph(Shown):
    """The channels of a network: its layers, groups of units, and the tensors that hold them."""

    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    groups: tuple[Group, ...]
    tensors: tuple[TensorSlots, ...] = field(repr=False)
    whole_groups: tuple[GroupedModule, ...] = field(repr=False)
    inputs: tuple[Input, ...] = field(default=(), repr=False)
    """What the network takes; empty for one image of `input_shape`."""
    handed_over: str = "positions"
    """How: by "positions", by "keywords", or all in one "dict"."""
    sizes: tuple[SizeInCode, ...] = field(default=(), repr=False)
    wires: tuple[Wire, ...] = field(default=(), repr=False)
    """How the layers are connected; see `Wire`."""

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _groups(self) -> dict[str, Group]:
        return {group.name: group for group in self.groups}

    @cached_property
    def num_units(self) -> int:
        """Units of the whole network, prunable or not."""
        return sum(group.width for group in self.groups)

    @cached_property
    def prunable(self) -> BoolArray:
        """(num_units,) which units can be pruned."""
        out = np.zeros(self.num_units, dtype=bool)
        for group in self.groups:
            out[group.start : group.start + group.width] = group.prunable
        out.setflags(write=False)
        return out

    @cached_property
    def group_index(self) -> IntArray:
        """(num_units,) the position in `groups` of each unit's group."""
        widths = [group.width for group in self.groups]
        return np.repeat(np.arange(len(self.groups)), widths)

    @cached_property
    def maskable(self) -> bool:
        """Whether masking is exact for every prunable unit."""
        return all(group.maskable for group in self.groups if group.prunable)

    @cached_property
    def prunable_groups(self) -> tuple[Group, ...]:
        """The groups whose units can be pruned."""
        return tuple(group for group in self.groups if group.prunable)

    @cached_property
    def digest(self) -> str:
        """Identifies the prunable structure; plans and rankings carry it to fit one network."""
        text = hashlib.sha256()
        for group in self.prunable_groups:
            text.update(f"{group.name}|{group.layers}|{group.width}|{group.channels};".encode())
        for layer in self.layers:
            inside = self.group_index[layer.units].tolist()
            places = [
                (self.groups[g].name, unit - self.groups[g].start)
                for g, unit in zip(inside, layer.units.tolist(), strict=True)
                if self.groups[g].prunable
            ]
            if places:
                text.update(f"{layer.name}:{places};".encode())
        return text.hexdigest()[:16]

    def layer(self, name: str) -> Layer:
        """The layer of that name; `UnknownNameError` lists the choices."""
        return self._layers[one_of("layer", name, self._layers)]

    def group(self, name: str) -> Group:
        """The group of that name; `UnknownNameError` lists the choices."""
        return self._groups[one_of("group", name, self._groups)]

    def group_of(self, unit: int) -> Group:
        """The group that a unit belongs to."""
        return self.groups[int(self.group_index[unit])]

    def unit_of(self, layer: str, filter: int) -> int:
        """The unit that filter number `filter` of the layer belongs to."""
        entry = self.layer(layer)
        if whole("A filter", filter, 0) >= entry.out_channels:
            raise InvalidValueError(
                f"Layer '{layer}' has {entry.out_channels} filters, numbered from 0 to "
                f"{entry.out_channels - 1}; there is no filter {filter}."
            )
        return int(entry.units[int(filter)])

    @cached_property
    def _members(self) -> dict[int, dict[str, tuple[int, ...]]]:
        members: dict[int, dict[str, list[int]]] = {}
        for layer in self.layers:
            for index, unit in enumerate(layer.units.tolist()):
                members.setdefault(unit, {}).setdefault(layer.name, []).append(index)
        return {
            unit: {name: tuple(filters) for name, filters in layers.items()}
            for unit, layers in members.items()
        }

    def members(self, unit: int) -> dict[str, tuple[int, ...]]:
        """The filters of a unit: layer name -> filter indices."""
        if whole("A unit", unit, 0) >= self.num_units:
            raise InvalidValueError(
                f"The network has {self.num_units} units, numbered from 0; there is no unit {unit}."
            )
        return dict(self._members[int(unit)])

    def to_frame(self) -> pd.DataFrame:
        """One row per layer: shape, MACs, parameters, group, and whether it can be pruned."""
        import pandas as pd

        return pd.DataFrame(
            {
                "layer": [x.name for x in self.layers],
                "kind": [x.kind for x in self.layers],
                "filters": [x.out_channels for x in self.layers],
                "inputs": [x.in_channels for x in self.layers],
                "kernel": ["×".join(map(str, x.kernel)) for x in self.layers],
                "macs": [x.macs for x in self.layers],
                "parameters": [x.parameters for x in self.layers],
                "group": [x.group for x in self.layers],
                "prunable": [x.prunable for x in self.layers],
                "reason": [x.reason or "" for x in self.layers],
            }
        )

    def figure(
        self,
        *,
        plan: object = None,
        ribbon: bool = False,
        dark: bool = False,
        height: int | None = None,
    ) -> Any:
        """The network's layers in order, their widths and coupling, as a Plotly figure.

        Args:
            plan: A `pruneviz.Plan`, whose filters are marked as pruned.
            ribbon: The network at a glance instead, bars and arcs as SVG: shown by a notebook,
                written to a file by its `save(path)`.
            dark: Colours for a dark background.
            height: In pixels; the ribbon is as wide as there is room.
        """
        return draw(self, plan=plan, ribbon=ribbon, dark=dark, height=height)

    def __repr__(self) -> str:
        prunable = self.prunable_groups
        return (
            f"ChannelGraph({len(self.layers)} layers, {len(self.groups)} groups, "
            f"{sum(g.width for g in prunable)} prunable units in {len(prunable)} groups)"
        )


def check_graph(graph: object) -> ChannelGraph:
    """The graph itself. Raises `InvalidValueError` for anything else."""
    return instance("graph", graph, ChannelGraph, "pv.trace(model, input_shape) makes one")

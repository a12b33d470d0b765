"""What the network that a plan leaves costs: exact MACs and parameters, by arithmetic only.

Convention: MACs are the multiply-adds of convolution and linear layers for one image (a transposed
convolution counted at its input positions); parameters are all the model's, auxiliary heads
included. A weight of shape (out, in / groups, kh, kw) applied at P positions costs

    MACs = P * out * (in / groups) * kh * kw

so a plan's cost follows from how many slices of every stored tensor stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from pruneviz.channels import ChannelGraph, IntArray, Layer, check_graph
from pruneviz.drawing import Shown, draw
from pruneviz.plan import Plan, check_plan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cost(Shown):
    """MACs and parameters of a network under a plan, and of the unpruned one."""

    macs: int
    """Multiply-adds for one image."""
    params: int
    """All parameters."""
    baseline_macs: int
    baseline_params: int
    layers: tuple[str, ...] = field(repr=False)
    layer_macs: tuple[int, ...] = field(repr=False)
    layer_params: tuple[int, ...] = field(repr=False)
    baseline_layer_macs: tuple[int, ...] = field(repr=False)
    baseline_layer_params: tuple[int, ...] = field(repr=False)
    filters: tuple[int, ...] = field(repr=False)
    """Filters of each layer that stay."""

    @property
    def macs_ratio(self) -> float:
        """MACs left, as a fraction of the unpruned network's."""
        return self.macs / max(self.baseline_macs, 1)

    @property
    def params_ratio(self) -> float:
        """Parameters left, as a fraction of the unpruned network's."""
        return self.params / max(self.baseline_params, 1)

    def to_frame(self) -> pd.DataFrame:
        """One row per layer; the last row holds parameters outside layers (normalisation, ...)."""
        import pandas as pd

        other = self.params - sum(self.layer_params)
        other_before = self.baseline_params - sum(self.baseline_layer_params)
        return pd.DataFrame(
            {
                "layer": [*self.layers, "(other)"],
                "filters": [*self.filters, 0],
                "macs": [*self.layer_macs, 0],
                "macs_before": [*self.baseline_layer_macs, 0],
                "params": [*self.layer_params, other],
                "params_before": [*self.baseline_layer_params, other_before],
            }
        )

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """MACs by layer, before and after, as a Plotly figure."""
        return draw(self, dark=dark, height=height)


@dataclass(frozen=True, eq=False)
class _Table:
    """A graph's slots as arrays, so that a plan's cost is one sparse product."""

    counts: csr_matrix
    """(slots, units) slices of each slot that belong to each unit."""
    sizes: IntArray
    """(slots,) slices of each slot."""
    of_tensor: IntArray
    """(tensors, most slots a tensor) the slots of each tensor; the last slot has size 1."""
    rest: IntArray
    """(tensors,) elements along the dimensions without slots."""
    positions: IntArray
    is_parameter: IntArray
    weight: IntArray
    """(layers,) the tensor that is each layer's weight."""
    bias: IntArray
    """(layers,) its bias, or an index past the end."""
    constant: IntArray
    """(layers,) MACs of layers whose weight is computed from tensors of another size; none of
    their channels can go."""
    filters: csr_matrix
    """(layers, units) filters of each layer in each unit."""


@lru_cache(maxsize=64)
def _table(graph: ChannelGraph) -> _Table:
    rows: list[IntArray] = []
    columns: list[IntArray] = []
    sizes: list[int] = []
    slots_of: list[list[int]] = []
    for tensor in graph.tensors:
        own = []
        for units in tensor.slots.values():
            inside = units[units >= 0]
            rows.append(np.full(inside.size, len(sizes)))
            columns.append(inside)
            own.append(len(sizes))
            sizes.append(units.size)
        slots_of.append(own)
    one = len(sizes)
    most = max((len(s) for s in slots_of), default=1) or 1
    row = np.concatenate(rows) if rows else np.empty(0, np.int64)
    column = np.concatenate(columns) if columns else np.empty(0, np.int64)
    counts = csr_matrix((np.ones(row.size, np.int64), (row, column)), (one + 1, graph.num_units))
    rest = [
        int(np.prod([s for d, s in enumerate(t.shape) if d not in t.slots], dtype=np.int64))
        for t in graph.tensors
    ]
    index = {tensor.name: i for i, tensor in enumerate(graph.tensors)}
    none = len(graph.tensors)

    def countable(layer: Layer) -> bool:
        return layer.weight in index and graph.tensors[index[layer.weight]].positions > 0

    biases = [
        index.get(x.weight.removesuffix("weight") + "bias", none)
        if x.weight.endswith(".weight") or x.weight == "weight"
        else index.get(f"{x.name}.bias", none)
        for x in graph.layers
    ]
    layer_rows = np.repeat(np.arange(len(graph.layers)), [x.out_channels for x in graph.layers])
    units = np.concatenate([x.units for x in graph.layers])
    return _Table(
        counts=counts,
        sizes=np.array([*sizes, 1]),
        of_tensor=np.array([s + [one] * (most - len(s)) for s in slots_of]),
        rest=np.array(rest),
        positions=np.array([t.positions for t in graph.tensors]),
        is_parameter=np.array([t.is_parameter for t in graph.tensors], dtype=np.int64),
        weight=np.array([index.get(x.weight, none) for x in graph.layers]),
        constant=np.array([0 if countable(x) else x.macs for x in graph.layers]),
        bias=np.array(biases),
        filters=csr_matrix(
            (np.ones(units.size, np.int64), (layer_rows, units)),
            (len(graph.layers), graph.num_units),
        ),
    )


def _sizes(table: _Table, dropped: IntArray) -> tuple[IntArray, IntArray]:
    """(tensors,) elements left, and (layers,) filters left."""
    kept = table.sizes - table.counts @ dropped
    elements = table.rest * kept[table.of_tensor].prod(axis=1)
    filters = table.filters @ (1 - dropped)
    return elements, filters


@lru_cache(maxsize=64)
def _baseline(graph: ChannelGraph) -> IntArray:
    return _sizes(_table(graph), np.zeros(graph.num_units, np.int64))[0]


def cost(graph: ChannelGraph, plan: Plan | None = None) -> Cost:
    """Exact MACs and parameters of the network that a plan leaves.

    Args:
        graph: The network's channels.
        plan: What is pruned; None for the unpruned network.

    Raises:
        PlanError: The plan was made for another network.

    Example:
        >>> plan = pv.Plan(graph).drop("layer1.0.conv1", range(8))
        >>> pv.cost(graph, plan).macs, pv.cost(graph).macs
        (38191744, 40551040)
    """
    check_graph(graph)
    if plan is None:
        dropped = np.zeros(graph.num_units, np.int64)
    else:
        dropped = (~check_plan(graph, plan).kept).astype(np.int64)
    table = _table(graph)
    elements, filters = _sizes(table, dropped)
    before = _baseline(graph)

    def by_layer(sizes: IntArray) -> tuple[IntArray, IntArray]:
        padded = np.append(sizes, 0)
        macs = np.append(sizes * table.positions, 0)[table.weight] + table.constant
        return macs, padded[table.weight] + padded[table.bias]

    macs, params = by_layer(elements)
    macs_before, params_before = by_layer(before)
    return Cost(
        macs=int((elements * table.positions).sum() + table.constant.sum()),
        params=int((elements * table.is_parameter).sum()),
        baseline_macs=int((before * table.positions).sum() + table.constant.sum()),
        baseline_params=int((before * table.is_parameter).sum()),
        layers=tuple(x.name for x in graph.layers),
        layer_macs=tuple(macs.tolist()),
        layer_params=tuple(params.tolist()),
        baseline_layer_macs=tuple(macs_before.tolist()),
        baseline_layer_params=tuple(params_before.tolist()),
        filters=tuple(filters.tolist()),
    )

"""What a plan changes for the layers that read a unit: columns of weights that become zero.

What consumers read of a pruned unit is zero, so in a masked network nothing before the consumers
needs to change: a replay starts at the first of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan
from pruneviz.replay.fast import Kept, worth_skipping
from pruneviz.replay.tape import Recipe


@dataclass(frozen=True, eq=False)
class Columns:
    """Slices `indices` (along `dim`) of a weight that nobody reads any more."""

    name: str
    dim: int
    indices: Tensor


def silenced(graph: ChannelGraph, kept: np.ndarray) -> tuple[Columns, ...]:
    """Return the columns that units outside `kept` (bool[num_units]) leave unread."""
    columns = []
    for slots in graph.tensors:
        for dim in slots.reads:
            units = slots.slots.get(dim)
            if units is None:
                continue
            gone = np.flatnonzero((units >= 0) & ~kept[units])
            if gone.size:
                columns.append(Columns(slots.name, dim, torch.from_numpy(gone)))
    return tuple(columns)


def silenced_by_unit(graph: ChannelGraph) -> dict[int, tuple[Columns, ...]]:
    """Return, for each prunable unit, the columns that it alone leaves unread."""
    by_unit: dict[int, list[Columns]] = {u: [] for g in graph.prunable_groups for u in g.units}
    for slots in graph.tensors:
        for dim in slots.reads:
            units = slots.slots.get(dim)
            if units is None:
                continue
            order = np.argsort(units, kind="stable")
            values, starts = np.unique(units[order], return_index=True)
            for unit, places in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
                if unit in by_unit:
                    by_unit[unit].append(Columns(slots.name, dim, torch.from_numpy(places)))
    return {unit: tuple(columns) for unit, columns in by_unit.items()}


def consumers(graph: ChannelGraph, groups: Iterable[str]) -> frozenset[str]:
    """Return the weights that read units of these groups."""
    kept = np.ones(graph.num_units, dtype=bool)
    for group in map(graph.group, groups):
        kept[group.start : group.start + group.width] = False
    return frozenset(column.name for column in silenced(graph, kept))


def exact(graph: ChannelGraph, plan: Plan) -> bool:
    """Whether silencing consumers gives the pruned network's outputs for this plan."""
    return all(graph.group(name).maskable for name in plan.by_group())


def prepared(
    recipe: Recipe, columns: Iterable[Columns], *, skip: bool = False
) -> dict[str, Tensor | Kept]:
    """Return the tensors in which a recipe's operations see these columns zeroed.

    Scaling a weight's rows commutes with zeroing its columns, so weights need not be folded again.
    With `skip`, weights that are mostly zero come without their zero columns.
    """
    env, program = recipe.env, recipe.program
    tensors: dict[str, Tensor | Kept] = {}
    for column in columns:
        for key in recipe.seen_as[program.aliases[column.name]]:
            derived = program.derived.get(key)
            dense = derived.dense if derived is not None and derived.dense else key
            weight = tensors.get(key, env[dense])
            assert isinstance(weight, Tensor)
            at = column.indices.to(weight.device)
            may = skip and column.dim == 1 and key in recipe.skippable
            if may and worth_skipping(weight, len(at)):
                stay = torch.ones(weight.shape[1], dtype=torch.bool)
                stay[column.indices] = False
                rest = stay.nonzero().flatten().to(weight.device)
                tensors[key] = Kept(weight.index_select(1, rest), rest)
                continue
            tensors[key] = weight.index_fill(column.dim, at, 0)
    return tensors

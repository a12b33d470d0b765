"""Which channels are coupled, and how grouped operations shrink: from ties to a partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pruneviz.channels import (
    BoolArray,
    IntArray,
)
from pruneviz.trace.flow import Flow
from pruneviz.trace.records import Choice, LayerRecord, Pairs


@dataclass(frozen=True)
class Partition:
    """Which atoms are coupled, and what keeps each component from being pruned."""

    label: IntArray
    """(atoms,) component of each atom."""
    fixed: IntArray
    """(components,) index of the first reason in `Flow.fixed`, or a large number."""
    unit: IntArray
    """(components,) unit index, -1 for components without any filter."""
    group: IntArray
    """(units,) group of each unit."""
    width: IntArray
    """(groups,) units in each group."""
    free: BoolArray
    """(groups,) whether units may be removed."""

    @property
    def prunable_units(self) -> int:
        """How many units can be pruned one by one: the more, the finer the partition."""
        return int(self.width[self.free].sum())


def choose(
    flow: Flow, layers: list[LayerRecord], choices: list[Choice]
) -> tuple[Partition, list[bool]]:
    """The partition with the most prunable units that was tried, and how each choice is made.

    True takes whole groups of a grouped operation, False a position in every group. Each choice
    that stops filters from being pruned is tried the other way, one after another.
    """
    whole = [choice.whole_finer for choice in choices]
    base = _stack(flow.ties)
    options = [(_stack(c.whole), _stack(c.position)) for c in choices]

    def partition(picked: Sequence[bool]) -> Partition:
        chosen = [options[i][0 if w else 1] for i, w in enumerate(picked)]
        unmaskable = unmaskable_atoms(flow, choices, picked)
        return _partition(flow, layers, [base, *chosen], unmaskable)

    best = partition(whole)
    for i, choice in enumerate(choices):
        if choice.decided or not _stuck(flow, choice, best):
            continue
        whole[i] = not whole[i]
        other = partition(whole)
        if other.prunable_units > best.prunable_units:
            best = other
        else:
            whole[i] = not whole[i]
    return best, whole


def unmaskable_atoms(flow: Flow, choices: list[Choice], whole: Sequence[bool]) -> list[IntArray]:
    """Atoms whose removal masking cannot imitate, given how each choice is made."""
    of_choices = [c.unmaskable for c, w in zip(choices, whole, strict=True) if not w]
    return flow.unmaskable + of_choices


def _stack(ties: Sequence[Pairs]) -> IntArray:
    """(2, ties) all pairs of atoms, without constants."""
    pairs = []
    for a, b in ties:
        a, b = np.broadcast_arrays(a, b)
        pairs.append(np.stack([a.ravel(), b.ravel()]))
    return np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)


def _stuck(flow: Flow, choice: Choice, partition: Partition) -> bool:
    """Whether some filter that the choice touches cannot be removed."""
    atoms = np.concatenate([np.concatenate([a.ravel(), b.ravel()]) for a, b in choice.whole])
    units = partition.unit[partition.label[atoms]]
    units = units[units >= 0]
    return bool((~partition.free[partition.group[units]]).any()) if units.size else False


def _partition(
    flow: Flow, layers: list[LayerRecord], ties: list[IntArray], unmaskable: list[IntArray]
) -> Partition:
    pairs = np.concatenate(ties, axis=1)
    constant = (pairs == 0).any(axis=0)
    held = pairs[:, constant].max(axis=0)
    pairs = pairs[:, ~constant]
    matrix = coo_matrix(
        (np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), (flow.atoms, flow.atoms)
    )
    count, components = connected_components(matrix, directed=False)
    label: IntArray = components.astype(np.int64)
    never = len(flow.fixed) + 1
    fixed = np.full(count, never, dtype=np.int64)
    for index, (atoms, _) in enumerate(flow.fixed):
        np.minimum.at(fixed, label[atoms], index)
    np.minimum.at(fixed, label[held], never - 1)
    fixed[label[0]] = min(fixed[label[0]], never - 1)
    blurred = np.zeros(count, dtype=bool)
    for atoms in unmaskable:
        blurred[label[atoms[atoms > 0]]] = True

    # A unit is a component that holds filters; its signature says in which layers, how many.
    rng = np.random.default_rng(0)
    signature = np.zeros(count, dtype=np.uint64)
    first = np.full(count, flow.atoms, dtype=np.int64)
    for record in layers:
        key = rng.integers(1, 2**63, dtype=np.uint64)
        np.add.at(signature, label[record.out], key)
        np.minimum.at(first, label[record.out], record.out)
    for uses in flow.size_uses.values():  # each piece is a group: at least one of it must stay
        np.add.at(signature, np.unique(label[uses[0]]), rng.integers(1, 2**63, dtype=np.uint64))
    has_filter = first < flow.atoms
    mixed = signature * np.uint64(2) + blurred.astype(np.uint64)
    mixed = mixed * np.uint64(1_000_003) + fixed.astype(np.uint64)
    holders = np.flatnonzero(has_filter)
    holders = holders[np.argsort(first[holders], kind="stable")]
    _, lead, inverse, widths = np.unique(
        mixed[holders], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(lead)  # groups in order of their first filter
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    group = rank[inverse]
    by_group = np.argsort(group, kind="stable")
    unit = np.full(count, -1, dtype=np.int64)
    unit[holders[by_group]] = np.arange(holders.size)
    width = widths[order].astype(np.int64)
    lead_component = holders[np.sort(lead)]
    free = (fixed[lead_component] == never) & (width > 1)
    return Partition(label, fixed, unit, group[by_group], width, free)

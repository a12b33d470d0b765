"""From ties to units and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pruneviz.channels import (
    BoolArray,
    ChannelGraph,
    Group,
    GroupedModule,
    IntArray,
    Layer,
    SizeInCode,
    TensorSlots,
)
from pruneviz.trace.flow import Choice, Flow, LayerRecord, Pairs, Place

TIED_TOGETHER = "all of its {} channels are tied together: removing them would leave nothing"


@dataclass(frozen=True)
class Partition:
    """Which atoms go together, and what keeps each component from being removed."""

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
        """The finer the ties, the more units can be removed one by one."""
        return int(self.width[self.free].sum())


def resolve(flow: Flow, input_shape: tuple[int, ...]) -> ChannelGraph:
    """Choose how grouped operations shrink, and turn atoms into layers, groups and slots."""
    layers = list(flow.layers.values())
    for atoms, zeroed_by in flow.computed_reads:
        if not zeroed_by - flow.unsilenced:
            flow.unmaskable.append(atoms)
    flow.settle_sizes()
    choices = list(flow.choices.values())
    whole = [choice.whole_finer for choice in choices]
    base = _stack(flow.ties)
    options = [(_stack(c.whole), _stack(c.position)) for c in choices]

    def partition(picked: Sequence[bool]) -> Partition:
        chosen = [options[i][0 if w else 1] for i, w in enumerate(picked)]
        unmaskable = [c.unmaskable for c, w in zip(choices, picked, strict=True) if not w]
        return _partition(flow, layers, [base, *chosen], flow.unmaskable + unmaskable)

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
    unmaskable = [c.unmaskable for c, w in zip(choices, whole, strict=True) if not w]
    return _graph(flow, layers, choices, whole, best, flow.unmaskable + unmaskable, input_shape)


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


def _graph(
    flow: Flow,
    layers: list[LayerRecord],
    choices: list[Choice],
    whole: list[bool],
    partition: Partition,
    unmaskable: list[IntArray],
    input_shape: tuple[int, ...],
) -> ChannelGraph:
    sizes = [
        (place, uses) for place, uses in flow.size_uses.items() if place not in flow.computed_with
    ]
    blurred = np.zeros(partition.group.size, dtype=bool)
    for atoms in unmaskable:
        units = partition.unit[partition.label[atoms[atoms > 0]]]
        blurred[units[units >= 0]] = True
    starts = np.concatenate([[0], np.cumsum(partition.width)])
    component_of_unit = np.full(partition.group.size, -1, dtype=np.int64)
    known = partition.unit >= 0
    component_of_unit[partition.unit[known]] = np.flatnonzero(known)
    units_of = {record.name: partition.unit[partition.label[record.out]] for record in layers}
    living: list[list[str]] = [[] for _ in partition.width]
    channels = np.zeros(len(partition.width), dtype=np.int64)
    for record in layers:
        inside, counts = np.unique(partition.group[units_of[record.name]], return_counts=True)
        for g, n in zip(inside.tolist(), counts.tolist(), strict=True):
            living[g].append(record.name)
            channels[g] += n // partition.width[g]
    notes = _notes(flow, choices, whole, partition)
    groups: list[Group] = []
    taken: dict[str, int] = {}
    for g, (names, width) in enumerate(zip(living, partition.width.tolist(), strict=True)):
        name = names[0]
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name}#{taken[name]}"
        reason = _reason(flow, partition, component_of_unit[starts[g]], width, int(channels[g]))
        note = "; ".join(
            ([f"{len(names)} layers share these channels"] if len(names) > 1 else [])
            + sorted(notes.get(g, set()))
        )
        start = int(starts[g])
        maskable = not bool(blurred[start : start + width].any())
        groups.append(
            Group(
                name,
                tuple(names),
                width,
                int(channels[g]),
                reason is None,
                reason,
                maskable,
                note,
                start,
            )
        )
    return ChannelGraph(
        input_shape=input_shape,
        layers=tuple(_layer(r, units_of[r.name], partition, groups) for r in layers),
        wires=flow.wires.found,
        groups=tuple(groups),
        tensors=_tensors(flow, partition),
        whole_groups=tuple(
            GroupedModule(c.module, c.groups, c.tensor)
            for c, w in zip(choices, whole, strict=True)
            if w and c.adjustable and not c.by_number
        ),
        sizes=tuple(
            _size(place, partition.unit[partition.label[uses[0]]]) for place, uses in sizes
        ),
    )


def _size(place: Place, units: IntArray) -> SizeInCode:
    units.setflags(write=False)
    return SizeInCode(*place, units)


def _reason(
    flow: Flow, partition: Partition, component: int, width: int, channels: int
) -> str | None:
    index = int(partition.fixed[component])
    if index < len(flow.fixed):
        return flow.fixed[index][1]
    if index == len(flow.fixed):
        return "is tied to a constant"
    return TIED_TOGETHER.format(channels) if width < 2 else None


def _notes(
    flow: Flow, choices: list[Choice], whole: list[bool], partition: Partition
) -> dict[int, set[str]]:
    """Why grouped operations tie channels the way they do, for each group of units."""
    notes: dict[int, set[str]] = {}
    for choice, w in zip(choices, whole, strict=True):
        pairs = choice.whole if w else choice.position
        atoms = np.concatenate([np.concatenate([a.ravel(), b.ravel()]) for a, b in pairs])
        units = partition.unit[partition.label[atoms]]
        if choice.groups == 1 or choice.depthwise:
            continue
        if w:
            how = f"whole groups of '{choice.layer}' go together"
        else:
            how = f"one position in each of the {choice.groups} groups of '{choice.layer}' goes"
        for g in np.unique(partition.group[units[units >= 0]]).tolist():
            notes.setdefault(g, set()).add(how)
    return notes


def _layer(
    record: LayerRecord, units: IntArray, partition: Partition, groups: list[Group]
) -> Layer:
    inside, counts = np.unique(partition.group[units], return_counts=True)
    main = groups[int(inside[np.argmax(counts)])]
    prunable = any(groups[g].prunable for g in inside.tolist())
    reasons = dict.fromkeys(groups[g].reason or "" for g in inside.tolist())
    units.setflags(write=False)
    return Layer(
        name=record.name,
        kind=record.kind,
        out_channels=int(record.out.size),
        in_channels=record.in_channels,
        kernel=record.kernel,
        conv_groups=record.conv_groups,
        positions=record.positions,
        macs=record.macs,
        parameters=record.parameters,
        group=main.name,
        groups=tuple(groups[g].name for g in inside.tolist()),
        prunable=prunable,
        reason=None if prunable else "; ".join(reasons),
        maps_at=tuple(record.maps_at.values()),
        weight=record.weight,
        units=units,
        called_at=record.called_at,
        computed=record.computed,
    )


def _tensors(flow: Flow, partition: Partition) -> tuple[TensorSlots, ...]:
    slots: dict[str, dict[int, IntArray]] = {}
    for (name, dim), start in flow.slots.items():
        size = flow.tensors[name].shape[dim]
        units = partition.unit[partition.label[start : start + size]]
        if (units >= 0).any():
            units.setflags(write=False)
            slots.setdefault(name, {})[dim] = units
    return tuple(
        TensorSlots(
            name=name,
            shape=tuple(int(s) for s in tensor.shape),
            is_parameter=name in flow.parameters,
            positions=_positions(flow, name),
            slots=slots.get(name, {}),
            reads=tuple(sorted(flow.reads.get(name, ()))),
            unsilenced=tuple(sorted(d for n, d in flow.unsilenced if n == name)),
        )
        for name, tensor in flow.tensors.items()
    )


def _positions(flow: Flow, name: str) -> int:
    record = flow.layers.get(name)
    return record.positions if record is not None and record.countable else 0

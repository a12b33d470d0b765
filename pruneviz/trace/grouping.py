"""From a partition of the channels to the graph: units, groups, layers and tensors."""

from __future__ import annotations

import numpy as np

from pruneviz.channels import (
    ChannelGraph,
    Group,
    GroupedModule,
    IntArray,
    Layer,
    SizeInCode,
    TensorSlots,
)
from pruneviz.trace.flow import Flow
from pruneviz.trace.partition import Partition, choose, unmaskable_atoms
from pruneviz.trace.records import Choice, LayerRecord
from pruneviz.trace.sizes import Place

ONE_UNIT = "all of its {} channels are coupled: pruning them would leave nothing"


def resolve(flow: Flow, input_shape: tuple[int, ...]) -> ChannelGraph:
    """Choose how grouped operations shrink, and turn atoms into layers, groups and slots."""
    layers = list(flow.layers.values())
    for atoms, zeroed_by in flow.computed_reads:
        if not zeroed_by - flow.unsilenced:
            flow.unmaskable.append(atoms)
    flow.settle_sizes()
    choices = list(flow.choices.values())
    partition, whole = choose(flow, layers, choices)
    sizes = [
        (place, uses) for place, uses in flow.size_uses.items() if place not in flow.computed_with
    ]
    blurred = np.zeros(partition.group.size, dtype=bool)
    for atoms in unmaskable_atoms(flow, choices, whole):
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
        wires=flow.wires.all,
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
        return "is coupled with a constant"
    return ONE_UNIT.format(channels) if width < 2 else None


def _notes(
    flow: Flow, choices: list[Choice], whole: list[bool], partition: Partition
) -> dict[int, set[str]]:
    """How grouped operations couple channels, for each group of units."""
    notes: dict[int, set[str]] = {}
    for choice, w in zip(choices, whole, strict=True):
        pairs = choice.whole if w else choice.position
        atoms = np.concatenate([np.concatenate([a.ravel(), b.ravel()]) for a, b in pairs])
        units = partition.unit[partition.label[atoms]]
        if choice.groups == 1 or choice.depthwise:
            continue
        if w:
            how = f"whole groups of '{choice.layer}' are pruned together"
        else:
            how = (
                f"one position in each of the {choice.groups} groups of '{choice.layer}' is pruned"
            )
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

"""Convolution and linear layers: they read input channels and make new output channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pruneviz.channels import IntArray
from pruneviz.trace.attributes import Kept
from pruneviz.trace.computed import computed, lies_along, weight_name
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles
from pruneviz.trace.records import Choice, LayerRecord
from pruneviz.trace.shadows import along


@dataclass(frozen=True)
class Weight:
    """What a layer is applied with: a stored tensor, or one computed from stored ones."""

    key: str
    """Names the layer: the stored tensor, or the module where there is none."""
    slots: dict[int, IntArray]
    """Dimension -> the channels that lie along it."""
    obstacle: str | None = None
    """Why no channel of it can go."""
    computed: bool = False


@handles("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear")
def layer(flow: Flow, call: Call) -> None:
    """Convolution and linear: read input channels, make new output channels."""
    x, weight, bias = call.first, call.arg(1, "weight"), call.arg(2, "bias")
    transposed = "transpose" in call.name
    number = 1 if call.name == "linear" else call.arg(6, "groups", 1)
    groups = int(number)
    spatial = 0 if call.name == "linear" else weight.ndim - 2
    dim = x.ndim - 1 - spatial
    out_dim, in_dim = (1, 0) if transposed else (0, 1)
    applied = _weight(flow, call, weight)
    record = _record(flow, call, applied, weight, groups, call.out.shape[dim], x.shape[dim])
    shadow = call.shadow
    entering = (
        np.zeros(x.shape[dim], dtype=np.int64)
        if shadow is None
        else flow.vector(shadow, dim, "is read together with the network's input")
    )
    places = x.numel() // x.shape[dim] if transposed else call.out.numel() // call.out.shape[dim]
    if flow.counting:
        record.positions += places
        record.macs += places * weight.numel()
    flow.tokens |= call.name == "linear" and x.ndim > 2
    if bias is not None:
        _bias(flow, record, bias)
    if applied.obstacle is not None:
        flow.fix(record.out, applied.obstacle)
        flow.fix(entering, f"enters layer '{record.name}': {applied.obstacle}")
    elif groups == 1:
        flow.tie(applied.slots[in_dim], entering, "reads the network's input")
        flow.tie(record.out, applied.slots[out_dim], "")
        if not applied.computed:
            flow.reads.setdefault(applied.key, set()).add(in_dim)
    else:
        _grouped(flow, record, applied, entering, number, transposed)
    flow.set_shadow(call.out, along(record.out, call.out.shape, dim))
    flow.set_map(call.out, record, flow.call_index)
    flow.wires.applies(record.name, x, call.out)


def _weight(flow: Flow, call: Call, weight: Tensor) -> Weight:
    name = flow.name(weight)
    if name is not None:
        return Weight(name, {0: flow.slot(name, 0), 1: flow.slot(name, 1)})
    known = None if flow.is_live(weight) else computed(flow, weight)
    if known is None:
        what = "the image" if flow.is_live(weight) else "code that PruneViz cannot watch"
        return _left(flow, f"its weight is computed from {what} while the network runs")
    if known.obstacle is not None:
        reason = f"its weight is computed by {known.obstacle}, which PruneViz cannot follow"
        return _left(flow, reason)
    name = weight_name(flow, known, weight)
    in_dim = 0 if "transpose" in call.name else 1
    aspects = {dim: lies_along(known, dim) for dim in (0, 1)}
    slots = {
        dim: flow.new_atoms(1) if aspect is None else flow.vector(aspect.shadow, dim, "")
        for dim, aspect in aspects.items()
        if aspect is not None or weight.shape[dim] == 1
    }
    if name is None or len(slots) < 2:
        reason = "its weight is computed from tensors of another shape"
        for aspect in known.aspects:
            flow.fix(aspect.atoms, reason)
        return _left(flow, reason)
    read = aspects[in_dim]
    if read is not None:
        flow.computed_reads.append((slots[in_dim], read.zeroed_by))
        for tensor, dim in read.zeroed_by:
            flow.reads.setdefault(tensor, set()).add(dim)
    return Weight(name, slots, computed=True)


def _left(flow: Flow, reason: str) -> Weight:
    """A layer that is listed and counted, and whose channels stay."""
    path = "" if flow.current is None else flow.paths.get(flow.current, "")
    return Weight(f"{path}.weight" if path else "weight", {}, reason, computed=True)


def _record(
    flow: Flow, call: Call, applied: Weight, weight: Tensor, groups: int, out: int, entering: int
) -> LayerRecord:
    record = flow.layers.get(applied.key)
    if record is None:
        stored = applied.key in flow.tensors
        path = flow.layer_module(applied.key)[0] if applied.computed and stored else None
        bias = call.arg(2, "bias")
        parts = [weight] if stored and bias is None else [weight, bias] if stored else []
        record = LayerRecord(
            name=applied.key.removesuffix(".weight") if path is None else path,
            kind=call.name,
            weight=applied.key,
            out=flow.new_atoms(out),
            in_channels=entering,
            conv_groups=groups,
            kernel=tuple(int(k) for k in weight.shape[2:]),
            stride=_stride(call),
            parameters=sum(p.numel() for p in parts),
            called_at=flow.call_index,
            computed=applied.computed,
            countable=stored and flow.tensors[applied.key].numel() == weight.numel(),
        )
        flow.layers[applied.key] = record
        if stored:
            flow.seen.add(flow.layer_module(applied.key)[0])
    return record


def _stride(call: Call) -> tuple[int, ...]:
    if call.name == "linear":
        return ()
    stride = call.arg(3, "stride", 1)
    return tuple(stride) if isinstance(stride, (tuple, list)) else (int(stride),)


def _bias(flow: Flow, record: LayerRecord, bias: Tensor) -> None:
    shadow = flow.shadow(bias)
    if flow.name(bias) is not None:
        flow.tie(record.out, flow.slot(flow.name(bias) or "", 0), "")
    elif shadow is not None and not flow.is_live(bias):
        flow.tie(record.out, flow.vector(shadow, 0, ""), "its bias is partly a constant")
    else:
        flow.fix(record.out, "its bias is computed while the network runs")


def _grouped(
    flow: Flow,
    record: LayerRecord,
    applied: Weight,
    entering: IntArray,
    number: int,
    transposed: bool,
) -> None:
    """A grouped convolution loses whole groups, or one position in every group."""
    groups = int(number)
    weight = record.weight
    read = entering.reshape(groups, -1)
    made = record.out.reshape(groups, -1)
    whole = [(read[:, :1], read[:, 1:]), (read[:, :1], made)]
    position = [(read[:1], read[1:]), (made[:1], made[1:])]
    rows = applied.slots[0].reshape(groups, -1)
    if transposed:
        # weight: (in, out / groups, ...): its rows are input channels
        whole.append((rows, read))
        position += [(rows, read), (made[0], applied.slots[1])]
    else:
        # weight: (out, in / groups, ...): its rows are output channels
        whole.append((rows, made))
        position += [(rows, made), (read[0], applied.slots[1])]
        if not applied.computed:
            flow.reads.setdefault(weight, set()).add(1)
    path, module = flow.layer_module(weight)
    depthwise = read.shape[1] == 1
    by_number = depthwise and isinstance(number, Kept)
    if depthwise and isinstance(number, Kept):
        flow.counted_by(number.place, read[:, 0])
    adjustable = by_number or isinstance(getattr(module, "groups", None), int)
    flow.choices[f"{path}@{len(flow.choices)}"] = Choice(
        module=path,
        layer=record.name,
        tensor=weight,
        groups=groups,
        whole=tuple(whole),
        position=tuple(position),
        unmaskable=np.empty(0, np.int64),
        whole_finer=adjustable and (depthwise or groups >= read.shape[1] + made.shape[1]),
        adjustable=adjustable,
        depthwise=depthwise and adjustable,
        by_number=by_number,
    )

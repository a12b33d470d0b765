"""Convolution and linear layers: they read input channels and make new output channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from pruneviz.channels import IntArray
from pruneviz.trace.flow import Choice, Flow, LayerRecord, along
from pruneviz.trace.operations import Call, handles, leave


@handles("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear")
def layer(flow: Flow, call: Call) -> None:
    """Convolution and linear: read input channels, make new output channels."""
    x, weight, bias = call.first, call.arg(1, "weight"), call.arg(2, "bias")
    name = flow.name(weight)
    if name is None or (bias is not None and flow.name(bias) is None):
        leave(flow, call, f"enters a {call.name} whose weight is computed while the network runs")
        return
    transposed = "transpose" in call.name
    groups = 1
    if call.name != "linear":
        groups = int(call.arg(6, "groups", 1))
    spatial = 0 if call.name == "linear" else weight.ndim - 2
    dim = x.ndim - 1 - spatial
    out_dim, in_dim = (1, 0) if transposed else (0, 1)
    record = _record(flow, call, name, bias, groups, call.out.shape[dim], x.shape[dim])
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
    reads_input = "reads the network's input"
    if bias is not None:
        flow.tie(record.out, flow.slot(flow.name(bias) or "", 0), "")
    if groups == 1:
        flow.tie(flow.slot(name, in_dim), entering, reads_input)
        flow.tie(record.out, flow.slot(name, out_dim), "")
        flow.reads.setdefault(name, set()).add(in_dim)
    else:
        _grouped(flow, record, entering, groups, transposed)
    flow.set_shadow(call.out, along(record.out, call.out.shape, dim))
    flow.set_map(call.out, record, flow.call_index)


def _record(
    flow: Flow, call: Call, name: str, bias: Any, groups: int, out: int, entering: int
) -> LayerRecord:
    record = flow.layers.get(name)
    if record is None:
        weight = flow.tensors[name]
        record = LayerRecord(
            name=name.removesuffix(".weight"),
            kind=call.name,
            weight=name,
            out=flow.new_atoms(out),
            in_channels=entering,
            conv_groups=groups,
            kernel=tuple(int(k) for k in weight.shape[2:]),
            stride=_stride(call),
            parameters=weight.numel() + (0 if bias is None else bias.numel()),
        )
        flow.layers[name] = record
    return record


def _stride(call: Call) -> tuple[int, ...]:
    if call.name == "linear":
        return ()
    stride = call.arg(3, "stride", 1)
    return tuple(stride) if isinstance(stride, (tuple, list)) else (int(stride),)


def _grouped(
    flow: Flow, record: LayerRecord, entering: IntArray, groups: int, transposed: bool
) -> None:
    """A grouped convolution loses whole groups, or one position in every group."""
    weight = record.weight
    read = entering.reshape(groups, -1)
    made = record.out.reshape(groups, -1)
    whole = [(read[:, :1], read[:, 1:]), (read[:, :1], made)]
    position = [(read[:1], read[1:]), (made[:1], made[1:])]
    if transposed:
        # weight: (in, out / groups, ...): its rows are input channels
        rows = flow.slot(weight, 0).reshape(groups, -1)
        whole.append((rows, read))
        position += [(rows, read), (made[0], flow.slot(weight, 1))]
    else:
        # weight: (out, in / groups, ...): its rows are output channels
        rows = flow.slot(weight, 0).reshape(groups, -1)
        whole.append((rows, made))
        position += [(rows, made), (read[0], flow.slot(weight, 1))]
        flow.reads.setdefault(weight, set()).add(1)
    path, module = flow.owner(weight)
    adjustable = isinstance(getattr(module, "groups", None), int)
    depthwise = read.shape[1] == 1
    flow.choices[f"{path}@{len(flow.choices)}"] = Choice(
        module=path,
        layer=record.name,
        groups=groups,
        whole=tuple(whole),
        position=tuple(position),
        unmaskable=np.empty(0, np.int64),
        whole_finer=adjustable and (depthwise or groups >= read.shape[1] + made.shape[1]),
        adjustable=adjustable,
        depthwise=depthwise and adjustable,
    )

"""Normalisation: per channel, across the channels of a group, or across all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pruneviz.channels import IntArray
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles
from pruneviz.trace.records import Choice
from pruneviz.trace.shadows import along, varying
from pruneviz.trace.sizes import Size


def _affine(flow: Flow, call: Call, vector: IntArray, stored: Sequence[Any], dim: int = 0) -> None:
    for tensor in stored:
        if tensor is None:
            continue
        name = flow.name(tensor)
        if name is None:
            flow.fix(vector, f"is combined with a tensor computed at run time by {call.full}")
        else:
            flow.tie(vector, flow.slot(name, dim), "")


@handles("batch_norm instance_norm")
def per_channel_norm(flow: Flow, call: Call) -> None:
    """Each channel is normalised by itself, with its own stored statistics."""
    x, shadow = call.first, call.shadow
    stored = [
        call.arg(i, n)
        for i, n in ((1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias"))
    ]
    if shadow is None:
        shadow = torch.zeros(1, dtype=torch.int64).expand(x.shape)
    vector = flow.vector(shadow, 1, "is normalised together with a constant")
    _affine(flow, call, vector, stored)
    flow.set_shadow(call.out, along(vector, x.shape, 1))
    flow.pass_map(x, call.out, call.maps[0])


@handles("group_norm")
def group_norm(flow: Flow, call: Call) -> None:
    """Normalises across the channels of a group: whole groups can go, or positions (unmasked)."""
    x, shadow, groups = call.first, call.shadow, int(call.arg(1, "num_groups"))
    weight, bias = call.arg(2, "weight"), call.arg(3, "bias")
    if shadow is None:
        shadow = torch.zeros(1, dtype=torch.int64).expand(x.shape)
    vector = flow.vector(shadow, 1, "is normalised together with a constant")
    _affine(flow, call, vector, (weight, bias))
    table = vector.reshape(groups, -1)
    name = flow.name(weight)
    path, module = flow.owner(name) if name else ("", None)
    adjustable = isinstance(module, torch.nn.GroupNorm)
    flow.choices[f"{path}@{len(flow.choices)}"] = Choice(
        module=path,
        layer=path,
        tensor=name or "",
        groups=groups,
        whole=((table[:, :1], table[:, 1:]),),
        position=((table[:1], table[1:]),),
        unmaskable=vector,
        whole_finer=adjustable and groups > table.shape[1],
        adjustable=adjustable,
    )
    flow.set_shadow(call.out, along(vector, x.shape, 1))
    flow.pass_map(x, call.out, call.maps[0])


@handles("layer_norm rms_norm")
def layer_norm(flow: Flow, call: Call) -> None:
    """Normalises over the trailing dimensions; masking cannot imitate a removed channel there."""
    x, shadow = call.first, call.shadow
    if shadow is None:
        flow.set_shadow(call.out, None)
        return
    shape = list(call.arg(1, "normalized_shape"))
    stored = [t for t in (call.arg(2, "weight"), call.arg(3, "bias")) if t is not None]
    first = x.ndim - len(shape)
    for dim in varying(shadow):
        if dim < first:
            continue
        vector = flow.vector(shadow, dim, "is normalised together with a constant")
        names = [flow.name(t) for t in stored]
        modules = [flow.owner(n)[1] for n in names if n]
        follows = isinstance(shape[dim - first], Size) or (
            bool(modules) and all(hasattr(m, "normalized_shape") for m in modules)
        )
        if not follows:
            flow.fix(vector, f"is normalised over a fixed size by {call.full}")
        flow.unmaskable.append(vector)
        _affine(flow, call, vector, stored, dim - first)
    flow.set_shadow(call.out, shadow)
    flow.pass_map(x, call.out, call.maps[0])


@handles("prelu")
def prelu(flow: Flow, call: Call) -> None:
    """One learned slope for all channels, or one a channel."""
    x, shadow, weight = call.first, call.shadow, call.arg(1, "weight")
    if shadow is not None and weight.numel() > 1:
        _affine(flow, call, flow.vector(shadow, 1, "meets a constant in prelu"), (weight,))
    flow.set_shadow(call.out, shadow)
    flow.pass_map(x, call.out, call.maps[0])

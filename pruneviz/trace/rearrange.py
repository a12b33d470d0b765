"""Operations that only rearrange elements: they are applied to the shadow as they are.

Whatever is removed, the result must stay a regular grid. So where channels come to lie along
several dimensions (channel shuffle, stacking), or pieces must stay of equal size (chunk), the
channels at the same position are coupled; where a size is written in the network's code, they stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruneviz.trace.attributes import Kept
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles, leave
from pruneviz.trace.shadows import core, tidy, varying
from pruneviz.trace.sizes import Size


def apply_call(flow: Flow, call: Call, shadow: Tensor) -> None:
    """Apply the very same call to the shadow."""
    name = {"T": "t"}.get(call.name, call.name)
    method = getattr(torch.Tensor, name)
    result = method(shadow, *call.args[1:], **call.kwargs)
    outs = [result] if isinstance(result, Tensor) else list(result)
    for out, made in zip(call.outputs, outs, strict=True):
        flow.set_shadow(out, tidy(made))


def fold(shadow: Tensor, dim: int, parts: int) -> Tensor:
    """Split a dimension into `parts` equal parts: (..., parts, size / parts, ...)."""
    sizes = list(shadow.shape)
    return shadow.view(*sizes[:dim], parts, sizes[dim] // parts, *sizes[dim + 1 :])


def keep_grid(flow: Flow, shadow: Tensor, free: int | None) -> None:
    """Tie channels so that a removal takes whole slices along `free` and nothing else."""
    dims = varying(shadow)
    if free is not None and dims and dims != [free]:
        flow.vector(shadow, free, "shares a tensor with a constant")


@handles(
    "permute transpose swapaxes swapdims movedim moveaxis t T mT squeeze unsqueeze expand flip "
    "repeat tile repeat_interleave"
)
def literal(flow: Flow, call: Call) -> None:
    """No size changes along channels: nothing is coupled."""
    if call.shadow is None:
        return flow.set_shadow(call.out, None)
    if call.name == "mT":
        return flow.set_shadow(call.out, call.shadow.transpose(-1, -2))
    if call.name == "expand":
        sizes = _listed(call)
        shift = len(sizes) - call.shadow.ndim
        if not all(is_free(sizes[d + shift]) for d in varying(call.shadow)):
            return leave(flow, call, "is expanded to a fixed size")
    return apply_call(flow, call, call.shadow)


@handles("expand_as broadcast_to")
def spread(flow: Flow, call: Call) -> None:
    """A broadcast copies channels along dimensions that have none."""
    shadow = call.shadow
    flow.set_shadow(call.out, None if shadow is None else shadow.expand(call.out.shape))


@handles("view reshape flatten unflatten view_as reshape_as ravel")
def reshape(flow: Flow, call: Call) -> None:
    """New sizes: those read off a tensor follow, those written in the code do not."""
    shadow, out = call.shadow, call.out
    if isinstance(call.arg(1, "dtype"), torch.dtype):
        return flow.set_shadow(out, shadow)
    _sizes_of_others(flow, call)
    if shadow is None:
        return flow.set_shadow(out, None)
    new = tidy(shadow.reshape(out.shape))
    dims = varying(new)
    flexible = [d for d in dims if _follows(call, d)]
    if dims and not flexible and call.name in ("view", "reshape"):
        numbers = {d: _listed(call)[d] for d in dims if isinstance(_listed(call)[d], Kept)}
        if numbers:
            flexible = [max(numbers, key=lambda d: (out.shape[d], d))]
            vector = flow.vector(new, flexible[0], "shares a tensor with a constant")
            flow.counted_by(numbers[flexible[0]].place, vector)
    if dims and not flexible:
        sizes = ", ".join(str(int(s)) for s in out.shape[1:])
        return leave(flow, call, f"is reshaped to a fixed size ({sizes}) by {call.full}")
    if len(dims) > 1:
        keep_grid(flow, new, max(flexible, key=lambda d: (out.shape[d], d)))
    return flow.set_shadow(out, new)


def _follows(call: Call, dim: int) -> bool:
    """Whether the size of an output dimension follows the tensor's own sizes."""
    if call.name in ("flatten", "ravel", "view_as", "reshape_as"):
        return True
    if call.name == "unflatten":
        start = int(call.arg(1, "dim")) % call.first.ndim
        sizes = list(call.arg(2, "sizes"))
        inside = start <= dim < start + len(sizes)
        return not inside or is_free(sizes[dim - start])
    return is_free(_listed(call)[dim])


def _sizes_of_others(flow: Flow, call: Call) -> None:
    """A size may be read off another tensor: then both must go on having as many channels."""
    if call.name not in ("view", "reshape"):
        return
    own = np.empty(0, np.int64)
    if call.shadow is not None:
        ids, first = np.unique(core(call.shadow).numpy().ravel(), return_index=True)
        own = ids[np.argsort(first)]
    for size in _listed(call):
        counted = size.channels if isinstance(size, Size) else own[:0]
        if not counted.size or np.isin(counted, own).any():
            continue
        if counted.size == own.size:
            flow.tie(
                counted, own, "gives its number of channels to reshape a tensor whose channels stay"
            )
        else:
            flow.fix(
                counted, f"gives its number of channels to {call.full} to reshape another tensor"
            )
            flow.fix(own, f"is reshaped by {call.full} to the size of another tensor")


def _listed(call: Call) -> list[Any]:
    """Sizes given one by one or as one sequence."""
    given = call.args[1:] or (call.kwargs.get("size") or call.kwargs.get("shape"),)
    return list(given[0]) if isinstance(given[0], (tuple, list)) else list(given)


def is_free(size: Any) -> bool:
    """Whether a size given to torch follows the channels: -1, or one read off a tensor."""
    return int(size) == -1 or (isinstance(size, Size) and size.channels.size > 0)


@handles("channel_shuffle")
def channel_shuffle(flow: Flow, call: Call) -> None:
    """Interleaves `groups` equal parts of the channels."""
    shadow = call.shadow
    if shadow is None:
        return flow.set_shadow(call.out, None)
    grid = fold(shadow, 1, int(call.arg(1, "groups")))
    keep_grid(flow, tidy(grid), 2)
    return flow.set_shadow(call.out, tidy(grid.transpose(1, 2).flatten(1, 2)))


@handles("pixel_shuffle pixel_unshuffle")
def pixel(flow: Flow, call: Call) -> None:
    """Blocks of channels become neighbouring pixels of one channel, or back."""
    shadow = call.shadow
    if shadow is None:
        return flow.set_shadow(call.out, None)
    made = getattr(torch.nn.functional, call.name)(shadow.contiguous(), int(call.args[1]))
    made = tidy(made)
    keep_grid(flow, made, 1)
    return flow.set_shadow(call.out, made)

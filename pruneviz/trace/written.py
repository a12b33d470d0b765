"""Tensors that are made empty and written into: their sizes say what channels they will hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles, leave
from pruneviz.trace.shadows import along, varying
from pruneviz.trace.sizes import Size

MAKERS = frozenset(["zeros", "ones", "empty", "full"])


def made(flow: Flow, out: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A constant whose size is that of other channels shrinks with them."""
    given = args[0] if args and isinstance(args[0], (tuple, list, torch.Size)) else args
    sizes = list(given or kwargs.get("size", ()))[: out.ndim]
    counted = {
        d: size.channels
        for d, size in enumerate(sizes)
        if isinstance(size, Size) and size.channels.size == out.shape[d] and size.channels.size
    }
    if len(counted) == 1:
        ((dim, atoms),) = counted.items()
        flow.set_shadow(out, along(atoms, out.shape, dim))


@handles("new_zeros new_ones new_empty new_full")
def made_like(flow: Flow, call: Call) -> None:
    """As `zeros`, with another tensor's type and device; its values are not read."""
    flow.set_shadow(call.out, None)
    made(flow, call.out, call.args[1:], call.kwargs)


@handles("setitem")
def write(flow: Flow, call: Call) -> None:
    """Written to a choice of images or regions, channels lie as they do in what is written."""
    target, key, value = call.args[:3]
    shadow = flow.shadow(target)
    written = flow.shadow(value)
    first = isinstance(key, (int, slice)) or (isinstance(key, Tensor) and key.ndim == 1)
    dims = [] if shadow is None else varying(shadow)
    if shadow is None or written is None or len(dims) != 1 or dims == [0] or not first:
        return leave(flow, call, f"is written into another tensor by {call.full}")
    dim = dims[0] - target.ndim + value.ndim
    if varying(written) != [dim]:
        return leave(flow, call, f"is written into another tensor by {call.full}")
    vector = flow.vector(shadow, dims[0], "")
    return flow.tie(vector, flow.vector(written, dim, ""), "is written beside a constant")


@handles("copy index_copy")
def copy(flow: Flow, call: Call) -> None:
    """Other ways of writing are not followed."""
    leave(flow, call, f"is written into another tensor by {call.full}")

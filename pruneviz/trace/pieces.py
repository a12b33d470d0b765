"""Operations that join tensors or cut them: concatenation, chunks, slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pruneviz.trace.attributes import Kept
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles, leave
from pruneviz.trace.rearrange import apply_call, fold, is_free, keep_grid
from pruneviz.trace.shadows import core, tidy, varying
from pruneviz.trace.sizes import Size


@handles("cat concat concatenate stack hstack vstack")
def concatenate(flow: Flow, call: Call) -> None:
    """Channels side by side; across any other dimension they must keep the same shape."""
    tensors: Sequence[Tensor] = call.args[0] if call.args else call.kwargs["tensors"]
    if not call.carries:
        return flow.set_shadow(call.out, None)
    if call.name in ("hstack", "vstack"):
        dim = 1 if call.name == "hstack" and call.out.ndim > 1 else 0
    else:
        dim = int(call.arg(1, "dim", call.kwargs.get("axis", 0))) % call.out.ndim
    pieces = []
    for tensor in tensors:
        shadow = flow.shadow(tensor)
        if shadow is None:
            shadow = torch.zeros((), dtype=torch.int64).expand(tensor.shape)
        pieces.append(shadow.unsqueeze(dim) if call.name == "stack" else shadow)
    if any(p.ndim != call.out.ndim for p in pieces):
        return leave(flow, call, f"passes through {call.full} with vectors")
    constant = [d for d in range(call.out.ndim) if d != dim and all(_flat(p, d) for p in pieces)]
    for d in constant:
        pieces = [p.narrow(d, 0, 1) for p in pieces]
    joined = torch.cat(pieces, dim)
    for d in constant:
        sizes = list(joined.shape)
        sizes[d] = call.out.shape[d]
        joined = joined.expand(sizes)
    joined = tidy(joined)
    for d in varying(joined):
        if d != dim:
            keep_grid(flow, joined, d)
    return flow.set_shadow(call.out, joined)


def _flat(shadow: Tensor, dim: int) -> bool:
    return shadow.shape[dim] <= 1 or shadow.stride()[dim] == 0


@handles("chunk split split_with_sizes tensor_split unbind hsplit vsplit unsafe_chunk unsafe_split")
def pieces(flow: Flow, call: Call) -> None:
    """Pieces along channels must stay of equal size: the same position goes in each of them."""
    shadow = call.shadow
    if shadow is None:
        for out in call.outputs:
            flow.set_shadow(out, None)
        return
    index, name = (1, "dim") if call.name == "unbind" else (2, "dim")
    default = {"hsplit": 1, "vsplit": 0}.get(call.name, 0)
    dim = int(call.arg(index, name, default)) % call.first.ndim
    if dim in varying(shadow):
        sizes = [o.shape[dim] if call.name != "unbind" else 1 for o in call.outputs]
        asked = call.arg(1, "split_size_or_sections", call.arg(1, "split_size"))
        by_size = call.name in ("split", "split_with_sizes", "unsafe_split")
        listed = asked if isinstance(asked, (tuple, list)) else [asked] * len(sizes)
        if by_size and _numbered(flow, call, shadow, dim, listed):
            apply_call(flow, call, shadow)
            return
        if len(set(sizes)) > 1 or (by_size and not all(is_free(s) for s in listed)):
            leave(flow, call, f"is split at fixed positions by {call.full}")
            return
        if call.name == "unbind":
            leave(flow, call, "is split channel by channel by torch.unbind")
            return
        grid = fold(shadow, dim, len(sizes))
        keep_grid(flow, tidy(grid), dim + 1)
    apply_call(flow, call, shadow)


def _numbered(flow: Flow, call: Call, shadow: Tensor, dim: int, sizes: Sequence[Any]) -> bool:
    """Whether each piece's size is a number that its module keeps, or the rest of the tensor's."""
    known = [isinstance(size, (Kept, Size)) for size in sizes]
    whole = [int(s) for s in sizes] == [o.shape[dim] for o in call.outputs]
    if not all(known) or not whole or not any(isinstance(s, Kept) for s in sizes):
        return False
    start = 0
    for size in sizes:
        if isinstance(size, Kept):
            piece = shadow.narrow(dim, start, int(size))
            flow.counted_by(size.place, flow.vector(piece, dim, "shares a tensor with a constant"))
        start += int(size)
    return True


@handles("getitem select narrow")
def index(flow: Flow, call: Call) -> None:
    """Slices of positions are followed; slices of channels only where they are equal shares."""
    shadow = call.shadow
    if shadow is None:
        flow.set_shadow(call.out, None)
        return
    if call.name == "getitem":
        key = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    elif call.name == "select":
        key = _at(call, int(call.arg(2, "index")))
    else:
        start, length = call.arg(2, "start"), call.arg(3, "length")
        first = isinstance(start, int) and not isinstance(start, Kept) and start == 0
        key = _at(call, slice(0, length) if first else slice(start, int(start) + int(length)))
    if len(key) == 1 and isinstance(key[0], Tensor) and 0 not in varying(shadow):
        rest = core(shadow)[0]  # a choice of images or of regions: their channels stay in place
        flow.set_shadow(call.out, rest.expand(call.out.shape))
        return
    if not all(k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in key):
        leave(flow, call, "is indexed by a tensor or a list")
        return
    dims = varying(shadow)
    for dim, part in _by_dim(key, call.first.ndim):
        if dim not in dims or (isinstance(part, slice) and part == slice(None)):
            continue
        size = call.first.shape[dim]
        if _bounded(flow, shadow, dim, part):
            continue
        if not _equal_share(part, size):
            leave(flow, call, f"is sliced at fixed channels by {call.full}")
            return
        length = len(range(*part.indices(size)))
        keep_grid(flow, tidy(fold(shadow, dim, size // length)), dim + 1)
    flow.set_shadow(call.out, tidy(shadow[key]))


def _at(call: Call, part: Any) -> tuple[Any, ...]:
    dim = int(call.arg(1, "dim")) % call.first.ndim
    return (slice(None),) * dim + (part,)


def _by_dim(key: tuple[Any, ...], ndim: int) -> list[tuple[int, Any]]:
    used = sum(k is not None and k is not Ellipsis for k in key)
    parts: list[tuple[int, Any]] = []
    dim = 0
    for part in key:
        if part is None:
            continue
        if part is Ellipsis:
            dim += ndim - used
            continue
        parts.append((dim, part))
        dim += 1
    return parts


def _bounded(flow: Flow, shadow: Tensor, dim: int, part: Any) -> bool:
    """Whether a slice's bounds are numbers that modules keep: each counts what lies before it."""
    if not isinstance(part, slice) or part.step not in (None, 1):
        return False
    bounds = [b for b in (part.start, part.stop) if b is not None and (type(b) is Kept or b != 0)]
    if not bounds or not all(isinstance(b, Kept) and 0 < b <= shadow.shape[dim] for b in bounds):
        return False
    vector = flow.vector(shadow, dim, "shares a tensor with a constant")
    for bound in bounds:
        flow.counted_by(bound.place, vector[: int(bound)])
    return True


def _equal_share(part: Any, size: int) -> bool:
    """Whether a slice is one of several equal shares, with bounds read off the tensor."""
    if not isinstance(part, slice) or part.step not in (None, 1):
        return False
    bounds = [b for b in (part.start, part.stop) if b is not None and int(b) != 0]
    if not all(isinstance(b, Size) and b.channels.size for b in bounds):
        return False
    start, stop, _ = part.indices(size)
    length = stop - start
    return length == size or (length > 0 and size % length == 0 and start % length == 0)

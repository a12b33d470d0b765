"""Operations that only rearrange elements: they are applied to the shadow as they are.

Whatever is removed, the result must stay a regular grid. So where channels come to lie along
several dimensions (channel shuffle, stacking), or pieces must stay of equal size (chunk), the
channels at the same position are tied; where a size is written in the network's code, they stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pruneviz.trace.attributes import Kept
from pruneviz.trace.flow import Flow, Size, core, tidy, varying
from pruneviz.trace.operations import Call, handles, leave


def _literal(flow: Flow, call: Call, shadow: Tensor) -> None:
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
        flow.vector(shadow, free, "lies in one grid with a constant")


@handles(
    "permute transpose swapaxes swapdims movedim moveaxis t T mT squeeze unsqueeze expand flip "
    "repeat tile repeat_interleave"
)
def literal(flow: Flow, call: Call) -> None:
    """No size changes along channels: nothing to tie."""
    if call.shadow is None:
        return flow.set_shadow(call.out, None)
    if call.name == "mT":
        return flow.set_shadow(call.out, call.shadow.transpose(-1, -2))
    if call.name == "expand":
        sizes = _listed(call)
        shift = len(sizes) - call.shadow.ndim
        if not all(_free(sizes[d + shift]) for d in varying(call.shadow)):
            return leave(flow, call, "is expanded to a fixed size")
    return _literal(flow, call, call.shadow)


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
            vector = flow.vector(new, flexible[0], "lies in one grid with a constant")
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
        return not inside or _free(sizes[dim - start])
    return _free(_listed(call)[dim])


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
            flow.tie(counted, own, "is counted to reshape a tensor whose channels stay")
        else:
            flow.fix(counted, f"is counted to reshape another tensor by {call.full}")
            flow.fix(own, f"is reshaped by {call.full} to the size of another tensor")


def _listed(call: Call) -> list[Any]:
    """Sizes given one by one or as one sequence."""
    given = call.args[1:] or (call.kwargs.get("size") or call.kwargs.get("shape"),)
    return list(given[0]) if isinstance(given[0], (tuple, list)) else list(given)


def _free(size: Any) -> bool:
    return int(size) == -1 or (isinstance(size, Size) and size.channels.size > 0)


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
            _literal(flow, call, shadow)
            return
        if len(set(sizes)) > 1 or (by_size and not all(_free(s) for s in listed)):
            leave(flow, call, f"is split at fixed positions by {call.full}")
            return
        if call.name == "unbind":
            leave(flow, call, "is taken apart channel by channel by torch.unbind")
            return
        grid = fold(shadow, dim, len(sizes))
        keep_grid(flow, tidy(grid), dim + 1)
    _literal(flow, call, shadow)


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
            flow.counted_by(size.place, flow.vector(piece, dim, "lies in one grid with a constant"))
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
    vector = flow.vector(shadow, dim, "lies in one grid with a constant")
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

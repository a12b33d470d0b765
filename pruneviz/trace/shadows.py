"""Shadows: which channel each element of a tensor belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pruneviz.channels import IntArray


def core(shadow: Tensor) -> Tensor:
    """The shadow with every dimension that is known to be constant narrowed to size 1."""
    for dim, (size, stride) in enumerate(zip(shadow.shape, shadow.stride(), strict=True)):
        if size > 1 and stride == 0:
            shadow = shadow.narrow(dim, 0, 1)
    return shadow


def tidy(shadow: Tensor) -> Tensor:
    """The same shadow with stride 0 along every constant dimension."""
    short = core(shadow)
    for dim, size in enumerate(short.shape):
        if size > 1:
            first = short.narrow(dim, 0, 1)
            if bool((short == first).all()):
                short = first
    return short.expand(shadow.shape)


def varying(shadow: Tensor) -> list[int]:
    """The dimensions along which a tidy shadow changes."""
    return [d for d, size in enumerate(core(shadow).shape) if size > 1]


def along(atoms: IntArray, shape: Sequence[int], dim: int) -> Tensor:
    """A shadow of that shape whose channels lie along `dim`."""
    view = [1] * len(shape)
    view[dim] = -1
    return torch.from_numpy(atoms).view(view).expand(seen(shape))


def seen(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as shadows have it: of nothing (no region on this level) one is seen."""
    return tuple(max(int(size), 1) for size in shape)

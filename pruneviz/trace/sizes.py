"""Sizes that remember which channels they count."""

from __future__ import annotations

from typing import Any

import numpy as np

from pruneviz.channels import IntArray

Place = tuple[str, str, int | None]
"""Where a number is kept: module path, attribute, and the index in it where it is a list."""


class Size(int):
    """A size that was read off a tensor: it follows when the tensor's channels shrink.

    Arithmetic keeps the mark, so that `view(n, groups, c // groups, h, w)` can be told apart from
    a size that is written in the network's code, and `x / c` is seen to depend on `c`.
    """

    channels: IntArray
    """Whose number it is; empty for batch and image sizes."""

    @classmethod
    def of(cls, value: int, channels: IntArray) -> Size:
        """A size with its mark."""
        size = cls(value)
        size.channels = channels
        return size


NOBODY: IntArray = np.empty(0, dtype=np.int64)
Size.channels = NOBODY


class Share(float):
    """A fraction computed from sizes (`1 / c`, `c ** 0.5`)."""

    channels: IntArray = NOBODY


def _marked(kind: type, operator: str) -> Any:
    plain, as_float = getattr(kind, operator), getattr(float, operator, None)

    def method(self: Any, *other: Any) -> Any:
        value = plain(self, *other)
        if value is NotImplemented and as_float and isinstance(other[0], float):
            value = as_float(float(self), *other)
        if value is NotImplemented:
            return value
        channels = np.concatenate([self.channels, *(getattr(o, "channels", NOBODY) for o in other)])
        if type(value) is int:
            return Size.of(value, channels)
        share = Share(value)
        share.channels = channels
        return share

    method.__name__ = operator
    return method


for _name in ("add", "sub", "mul", "floordiv", "mod", "truediv", "pow"):
    for _operator in (f"__{_name}__", f"__r{_name}__"):
        setattr(Size, _operator, _marked(int, _operator))
        setattr(Share, _operator, _marked(float, _operator))

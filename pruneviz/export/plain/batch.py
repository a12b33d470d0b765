"""Sizes that depend on the batch, found by comparing passes over batches of different sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import torch

from pruneviz.errors import ExportError
from pruneviz.export.plain.record import BatchSize, Op, Record, Value, leaves, values


def follow_batch(first: Record, second: Record, sizes: tuple[int, int]) -> None:
    """Replace, in the first record, every number that changes with the batch by its rule.

    `sizes` are the numbers of images of the two passes. A number that differs between them becomes
    `factor * N + offset`. Raises `ExportError` if the passes differ in more than that.
    """
    matcher = _Matcher(first, second, sizes)
    pairs = zip_longest(leaves(first.root), leaves(second.root))
    for one, other in pairs:
        if one is None or other is None or type(one) is not type(other):
            raise _differs(one or other)
        if isinstance(one, Op) and (not isinstance(other, Op) or one.name != other.name):
            raise _differs(one)
        matcher.near = values((one.args, one.kwargs))
        one.args = matcher.merge(one.args, other.args, one)
        one.kwargs = matcher.merge(one.kwargs, other.kwargs, one)
        matcher.seen += values(one.out)
    for name, tensor in first.constants.items():
        again = second.constants.get(name)
        if again is None or not torch.equal(tensor, again):
            raise ExportError(
                "A tensor of this network is computed by code that cannot be traced (a "
                "scripted or compiled function, or a custom autograd function). Write it with "
                "torch's functions."
            )


class _Matcher:
    def __init__(self, first: Record, second: Record, sizes: tuple[int, int]) -> None:
        self.first, self.second = first, second
        self.small, self.large = sizes
        self.seen: list[Value] = [Value(0)]
        self.near: list[Value] = []

    def merge(self, a: Any, b: Any, event: Any) -> Any:
        if type(a) is not type(b):
            raise _differs(event)
        if isinstance(a, (tuple, list)):
            if len(a) != len(b):
                raise _differs(event)
            merged = [self.merge(x, y, event) for x, y in zip(a, b, strict=True)]
            return type(a)(merged)
        if isinstance(a, dict):
            return {key: self.merge(value, b[key], event) for key, value in a.items()}
        if isinstance(a, slice):
            return slice(
                self.merge(a.start, b.start, event),
                self.merge(a.stop, b.stop, event),
                self.merge(a.step, b.step, event),
            )
        if type(a) is int and a != b:
            return self._size(a, b, event)
        if a != b and not (a != a and b != b):
            raise _differs(event)
        return a

    def _size(self, a: int, b: int, event: Any) -> BatchSize:
        factor, rest = divmod(b - a, self.large - self.small)
        if rest:
            raise _differs(event)
        return BatchSize(factor, a - factor * self.small, self._carrier(event))

    def _carrier(self, event: Any) -> Value:
        """A value whose first dimension counts the images."""
        for value in self._candidates():
            one = self.first.shapes.get(value.number)
            other = self.second.shapes.get(value.number)
            if one and other and (one[0], other[0]) == (self.small, self.large):
                return value
        raise _differs(event)

    def _candidates(self) -> Iterator[Value]:
        yield from self.near
        yield from reversed(self.seen)


def _differs(event: Any) -> ExportError:
    name = event.name if isinstance(event, Op) else f"module '{getattr(event, 'path', '')}'"
    return ExportError(
        f"Operation '{name}' behaves differently at different batch sizes, so one file cannot "
        "represent it. Make its code the same for every batch size."
    )

"""Numbers of channels that a module keeps as attributes and uses while it runs.

`x.split((self.c, self.c), 1)` follows a removal if `self.c` does. So while a network is watched,
its modules' whole numbers are replaced by ones that remember where they are kept; the operations
that cut a tensor by such a number note which channels it counts, and pruning writes the new
number. A number that the network also computes with is left alone, and its channels stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from pruneviz.trace.flow import Flow
from pruneviz.trace.sizes import Place


class Kept(int):
    """A whole number that knows its place; arithmetic with it is noted, and gives plain numbers."""

    place: Place
    computed_with: set[Place]

    @classmethod
    def at(cls, value: int, place: Place, computed_with: set[Place]) -> Kept:
        """A number with its place."""
        kept = cls(value)
        kept.place, kept.computed_with = place, computed_with
        return kept

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)

    def __deepcopy__(self, memo: Any) -> int:
        return int(self)


def _noted(operator: str) -> Any:
    plain = getattr(int, operator)

    def method(self: Kept, *other: Any) -> Any:
        self.computed_with.add(self.place)
        return plain(self, *other)

    method.__name__ = operator
    return method


_ARITHMETIC = "add sub mul floordiv mod truediv pow"
for _name in _ARITHMETIC.split():
    for _operator in (f"__{_name}__", f"__r{_name}__"):
        setattr(Kept, _operator, _noted(_operator))
for _operator in ("__neg__", "__float__"):
    setattr(Kept, _operator, _noted(_operator))


@contextmanager
def remembered(flow: Flow, model: nn.Module) -> Iterator[None]:
    """Have the modules' numbers remember their places for a while; not those of torch's modules."""
    before: list[tuple[dict[str, Any], str, Any]] = []
    for module in dict.fromkeys(model.modules()):
        if type(module).__module__.startswith("torch."):
            continue
        own = vars(module)
        for name, value in list(own.items()):
            if name.startswith("_") or not _counts(value):
                continue
            path = flow.paths[module]
            before.append((own, name, value))
            if isinstance(value, int):
                own[name] = Kept.at(value, (path, name, None), flow.computed_with)
                continue
            own[name] = type(value)(
                Kept.at(v, (path, name, i), flow.computed_with) for i, v in enumerate(value)
            )
    try:
        yield
    finally:
        for own, name, value in before:
            if own.get(name) == value:  # what the network itself has set meanwhile stays
                own[name] = value


def _counts(value: Any) -> bool:
    if type(value) is int:
        return value > 0
    return type(value) in (list, tuple) and bool(value) and all(type(v) is int for v in value)


def kept_in(value: Any) -> Iterator[Kept]:
    """All such numbers in nested arguments."""
    if isinstance(value, Kept):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from kept_in(item)
    elif isinstance(value, slice):
        yield from kept_in((value.start, value.stop, value.step))
    elif isinstance(value, dict):
        yield from kept_in(list(value.values()))

"""Short names for a forward's values: a value takes over the name of one no longer needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pruneviz.export.plain.record import Value

_POOL = "xyzwvutsrqponm"

Ends = tuple[list[Value], list[Value]]
"""What a step reads and what it returns."""


class Names:
    """Names within one forward, assigned step by step."""

    def __init__(
        self, inputs: Sequence[Value], outputs: Sequence[Value], steps: Sequence[Ends]
    ) -> None:
        self._steps = steps
        self._last = {v: i for i, (taken, _) in enumerate(steps) for v in taken}
        self._last.update(dict.fromkeys(outputs, len(steps)))
        self._names: dict[Value, str] = {}
        self._used: set[str] = set()
        self._free: list[str] = []
        for value in inputs:
            self._names[value] = self._fresh()
        self.parameters = tuple(self._names[v] for v in inputs)

    def of(self, value: Value) -> str:
        """The name that a value was given."""
        return self._names[value]

    def assign(self, index: int, out: Any) -> str:
        """Name what a step returns; the left side of its line, empty if nothing is kept."""
        for value in dict.fromkeys(self._steps[index][0]):
            if self._last[value] <= index:
                self._free.append(self._names[value])
                self._used.discard(self._names[value])
        left = self._left(out)
        self._free.clear()
        return "" if left == "_" else left

    def _left(self, out: Any) -> str:
        if isinstance(out, tuple):
            return ", ".join(self._inner(item) for item in out) + ("," if len(out) == 1 else "")
        return self._inner(out)

    def _inner(self, out: Any) -> str:
        if isinstance(out, tuple):
            return f"({self._left(out)})"
        if not isinstance(out, Value) or out not in self._last:
            return "_"
        self._names[out] = self._fresh()
        return self._names[out]

    def _fresh(self) -> str:
        for name in self._free:
            if name not in self._used:
                self._used.add(name)
                return name
        name = next(n for n in _every() if n not in self._used)
        self._used.add(name)
        return name


def _every() -> Iterator[str]:
    yield from _POOL
    number = 1
    while True:
        yield f"x{number}"
        number += 1

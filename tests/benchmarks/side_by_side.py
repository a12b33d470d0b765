"""Time several ways of doing the same thing, in turns, so that noise falls on all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Median seconds of each way, and the ratios to the first, each taken within one round."""

    seconds: dict[str, float]
    ratios: dict[str, float]

    def line(self, name: str) -> str:
        """Return one row of a table: seconds, and how often faster than the first way."""
        return f"{name:34s} {self.seconds[name]:10.4f} s  x{self.ratios[name]:.2f}"


def side_by_side(
    ways: Mapping[str, Callable[[], Any]], *, rounds: int = 3, warm_up: bool = True
) -> Timing:
    """Time every way once a round, every other round backwards.

    A ratio is the median over the rounds of (first way's seconds / this way's seconds), so what
    slows the machine for a while slows numerator and denominator alike.
    """
    if warm_up:
        for way in ways.values():
            way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in names:
            start = time.perf_counter()
            ways[name]()
            taken[name].append(time.perf_counter() - start)
    first = next(iter(ways))
    return Timing(
        {name: statistics.median(t) for name, t in taken.items()},
        {
            name: statistics.median(a / b for a, b in zip(taken[first], t, strict=True))
            for name, t in taken.items()
        },
    )

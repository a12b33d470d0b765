"""Timing calls in turns: warm-up, short bursts, every other round backwards."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

FEWEST = 3
"""Calls of each that are timed, however small the budget."""
BURST_SECONDS = 0.02
"""How long one is called before it is the next one's turn."""
Progress = Callable[[int, int], None]


def in_turns(
    ways: Mapping[str, Callable[[], None]],
    repeats: int,
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> dict[str, list[float]]:
    """Time calls: each warmed up, then in bursts by turns, every other round backwards.

    A burst begins with a call that is not timed (it brings the network back into the caches) and
    lasts about 20 ms. Ends after `repeats` timed calls of each, or with the first round that ends
    after `seconds`, with at least three calls of each.
    """
    start = clock()
    bursts = {}
    for name, way in ways.items():
        way()
        before = clock()
        way()
        each = max(clock() - before, 1e-9)
        bursts[name] = max(1, min(repeats, int(BURST_SECONDS / each)))
    size = min(bursts.values())  # as many of each, in every round
    least = min(repeats, FEWEST)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    done, number = 0, 0
    with _no_collection():
        while done < repeats and (done < least or clock() - start < seconds):
            burst = min(size, repeats - done)
            for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
                ways[name]()
                for _ in range(burst):
                    before = clock()
                    ways[name]()
                    taken[name].append(clock() - before)
            done, number = done + burst, number + 1
            if progress is not None:
                share = done / repeats, (clock() - start) / max(seconds, 1e-9)
                progress(min(repeats, round(max(share) * repeats)), repeats)
    return taken


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector still."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

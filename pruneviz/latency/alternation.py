"""Timing calls in alternation: warm-up, short bursts, every other round in reverse.

A call that the operating system interrupts for another program takes longer than it would by
itself; the system counts such interruptions, so these calls can be left out.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

FEWEST = 3
"""Calls of each that are timed at least, however small the budget."""
BURST_SECONDS = 0.02
"""How long one is called before the next one's turn."""
CALM_SECONDS = 0.05
"""In a long call, one interruption per this many seconds is ignored: a few milliseconds at most."""
Progress = Callable[[int, int], None]


@dataclass
class Calls:
    """The times of one of the networks."""

    calm: list[float] = field(default_factory=list)
    """Seconds of the calls that ran through."""
    interrupted: list[float] = field(default_factory=list)
    """Seconds of the calls during which other programs had the processor."""

    def __len__(self) -> int:
        return len(self.calm) + len(self.interrupted)


def interruptions() -> int:
    """Return how often this process had to give up a processor so far; 0 where nobody counts."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def in_turns(
    ways: Mapping[str, Callable[[], None]],
    repeats: int,
    seconds: float,
    *,
    clock: Callable[[], float] = time.perf_counter,
    count: Callable[[], int] = interruptions,
    progress: Progress | None = None,
) -> dict[str, Calls]:
    """Time calls: each is warmed up, then they alternate in bursts, every other round in reverse.

    A burst begins with a call that is not timed (it brings the network back into the caches) and
    lasts about 20 ms. Ends once each was called `repeats` times without an interruption, or with
    the first round that ends after `seconds`, with at least three calls of each.
    """
    start = clock()
    bursts = []
    for way in ways.values():
        way()
        before = clock()
        way()
        each = max(clock() - before, 1e-9)
        bursts.append(max(1, min(repeats, int(BURST_SECONDS / each))))
        if progress is not None:
            progress(0, repeats)
    size = min(bursts)  # as many of each, in every round
    taken = {name: Calls() for name in ways}
    least, done, number = min(repeats, FEWEST), 0, 0
    with _no_collection():
        while done < repeats:
            if clock() - start >= seconds and min(map(len, taken.values())) >= least:
                break
            for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
                ways[name]()
                for _ in range(min(size, repeats - done)):
                    switches, before = count(), clock()
                    ways[name]()
                    spent = clock() - before
                    calm = count() - switches <= int(spent / CALM_SECONDS)
                    (taken[name].calm if calm else taken[name].interrupted).append(spent)
            done, number = min(len(t.calm) for t in taken.values()), number + 1
            if progress is not None:
                share = max(done / repeats, (clock() - start) / max(seconds, 1e-9))
                progress(min(repeats, round(share * repeats)), repeats)
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

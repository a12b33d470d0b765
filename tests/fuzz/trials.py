"""One malformed input a trial: it is taken, or refused with a sentence; anything else counts."""

from __future__ import annotations

import random
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pruneviz.errors import PruneVizError

LONGEST = 2_000
"""Characters of a sentence; longer ones repeat what they were given."""

Trial = tuple[str, Callable[[], object]]
"""What is tried, in words, and the call."""

Source = Callable[[random.Random, Path], Iterator[Trial]]
"""Trials without end, drawn from a random state, with a folder to write into."""


@dataclass
class Tally:
    """What became of the trials."""

    refused: Counter[str] = field(default_factory=Counter)
    """By source: a `PruneVizError` with a sentence."""
    accepted: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    """Everything else, with what was tried."""
    slowest: tuple[float, str] = (0.0, "")

    @property
    def tried(self) -> int:
        """How many trials there were."""
        return self.refused.total() + self.accepted.total() + len(self.others)

    def report(self) -> str:
        """The figures, one a line."""
        by = ", ".join(
            f"{name} {self.refused[name] + self.accepted[name]}"
            for name in sorted(self.refused | self.accepted)
        )
        return "\n".join(
            [
                f"tried            {self.tried} ({by})",
                f"clear sentences  {self.refused.total()}",
                f"accepted         {self.accepted.total()}",
                f"others           {len(self.others)}",
                f"slowest          {self.slowest[0]:.1f} s ({self.slowest[1]})",
                f"peak memory      {peak_bytes() / 2**20:.0f} MiB",
            ]
        )


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def fuzz(
    sources: Mapping[str, Source],
    folder: Path,
    *,
    seed: int = 0,
    seconds: float = 60.0,
    most: int | None = None,
) -> Tally:
    """Take trials from all sources in turn until the time, or their number, is used up."""
    tally = Tally()
    streams = {}
    for name, source in sources.items():
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        streams[name] = source(random.Random(f"{seed} {name}"), own)
    end = time.monotonic() + seconds
    while time.monotonic() < end and (most is None or tally.tried < most):
        for name, stream in streams.items():
            what, call = next(stream)
            _try(tally, name, what, call)
    return tally


def _try(tally: Tally, name: str, what: str, call: Callable[[], object]) -> None:
    begun = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except PruneVizError as error:
        problem = unclear(str(error))
        if problem:
            tally.others.append(f"{name}: {what}: {problem}: {str(error)[:300]!r}")
        else:
            tally.refused[name] += 1
    except Exception:
        tally.others.append(f"{name}: {what}\n{traceback.format_exc(limit=-4)}")
    else:
        tally.accepted[name] += 1
    took = time.monotonic() - begun
    if took > tally.slowest[0]:
        tally.slowest = (took, f"{name}: {what}"[:120])


def unclear(sentence: str) -> str:
    """What is wrong with a sentence; empty where nothing is."""
    if len(sentence) < 20:
        return "says nothing"
    if len(sentence) > LONGEST:
        return f"is {len(sentence):,} characters long"
    if "Traceback" in sentence:
        return "shows the inside"
    if not sentence.replace("\n", " ").isprintable():
        return "holds what cannot be printed"
    return ""

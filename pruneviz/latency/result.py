"""Measured times of networks, compared with their MACs. Loads without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from pruneviz.drawing import Shown, draw
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    import pandas as pd

BASELINE, PRUNED = "baseline", "pruned"


@dataclass(frozen=True)
class Timing:
    """One network's forward passes: `seconds` of each, a batch a pass."""

    name: str
    seconds: tuple[float, ...]
    macs: int | None = None
    """Multiply-adds for one image, where they are known."""
    interrupted: int = 0
    """Passes during which other programs had the processor."""
    left_out: bool = True
    """Whether `seconds` is without those; it has them where hardly a pass was uninterrupted."""

    @property
    def median(self) -> float:
        """Median seconds of one batch."""
        return median(self.seconds)

    @property
    def low(self) -> float:
        """Lower quartile of the seconds."""
        return _quantile(self.seconds, 0.25)

    @property
    def high(self) -> float:
        """Upper quartile of the seconds."""
        return _quantile(self.seconds, 0.75)


@dataclass(frozen=True)
class Latency(Shown):
    """Several networks timed side by side; the others are compared with the first.

    `batch_size` images of `input_shape` (C, H, W) per pass, `threads` CPU threads per operation, on
    `device`.
    """

    timings: tuple[Timing, ...]
    input_shape: tuple[int, ...]
    batch_size: int
    threads: int
    device: str = "cpu"
    runtime: str = "torch"
    """What the networks ran in."""

    def of(self, name: str) -> Timing:
        """Return one network's times; raises `InvalidValueError` if it was not timed."""
        for timing in self.timings:
            if timing.name == name:
                return timing
        names = ", ".join(t.name for t in self.timings)
        raise InvalidValueError(f"'{name}' was not timed; there are {names}.")

    def speedup(self, name: str) -> float:
        """Return how many times as fast as the first network: 2.0 takes half of its time."""
        return self.timings[0].median / self.of(name).median

    def macs_ratio(self, name: str) -> float:
        """Return the first network's MACs over this one's (>= 1 when pruned); nan if unknown."""
        first, own = self.timings[0].macs, self.of(name).macs
        return first / own if first and own else math.nan

    def remark(self, name: str) -> str:
        """Return a sentence if fewer MACs do not save time; empty if they do.

        They do not when the quartiles of both networks' times overlap, or when the speed-up stays
        under half of the ratio of the MACs. A network with 95 % of the MACs or more is left out.
        """
        first, own = self.timings[0], self.of(name)
        fewer, faster = self.macs_ratio(name), self.speedup(name)
        if not fewer > 1 / 0.95:
            return ""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        inside = "" if self.runtime == "torch" else f" in {self.runtime}"
        where = f"at batch size {self.batch_size} with {threads}{inside} here"
        told = f"{name}: {fewer:.2f} times fewer MACs, but"
        if own.high >= first.low:
            return f"{told} not measurably faster {where}: the times overlap."
        if faster < fewer / 2:
            return f"{told} only {faster:.2f} times as fast {where}, less than half of that."
        return ""

    @property
    def warning(self) -> str:
        """The remarks on all networks; empty if fewer MACs save time."""
        return " ".join(filter(None, (self.remark(t.name) for t in self.timings[1:])))

    @property
    def disturbance(self) -> str:
        """A sentence on how other programs disturbed the measurement; empty if hardly."""
        passes = sum(len(t.seconds) + (t.interrupted if t.left_out else 0) for t in self.timings)
        gone = sum(t.interrupted for t in self.timings)
        if not all(t.left_out for t in self.timings):
            return (
                f"The machine was busy: other programs interrupted {gone} of {passes} passes. "
                "Measure again when it is quiet."
            )
        if gone > 0.1 * passes:
            return f"{gone} of {passes} passes were interrupted by other programs and left out."
        return ""

    def to_frame(self) -> pd.DataFrame:
        """One row per network: milliseconds per batch, images per second, speed-up beside MACs."""
        import pandas as pd

        return pd.DataFrame(
            {
                "network": [t.name for t in self.timings],
                "ms": [1e3 * t.median for t in self.timings],
                "ms_low": [1e3 * t.low for t in self.timings],
                "ms_high": [1e3 * t.high for t in self.timings],
                "images_per_second": [self.batch_size / t.median for t in self.timings],
                "speedup": [self.speedup(t.name) for t in self.timings],
                "macs": [t.macs for t in self.timings],
                "macs_ratio": [self.macs_ratio(t.name) for t in self.timings],
                "passes": [len(t.seconds) for t in self.timings],
                "batch_size": self.batch_size,
                "threads": self.threads,
                "device": self.device,
                "runtime": self.runtime,
            }
        )

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """Draw a bar per network, with quartiles, and what its MACs alone would promise."""
        return draw(self, dark=dark, height=height)


@dataclass(frozen=True)
class WidthLatency(Shown):
    """The whole network's time while one group gets narrower; `widths` are units kept."""

    group: str
    widths: tuple[int, ...]
    """Widest first: the unpruned group."""
    latency: Latency
    """A timing a width, in the same order."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Widths at which time really drops: its quartiles lie below those of the last such step.

        The first is the group's whole width. Between two steps units are lost for nothing.
        """
        indices = [0]
        for index, timing in enumerate(self.latency.timings):
            if timing.high < self.latency.timings[indices[-1]].low:
                indices.append(index)
        return tuple(self.widths[i] for i in indices)

    def to_frame(self) -> pd.DataFrame:
        """One row a width, widest first."""
        frame = self.latency.to_frame().drop(columns=["network"])
        frame.insert(0, "width", list(self.widths))
        frame.insert(1, "step", [w in self.steps for w in self.widths])
        return frame

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """Draw time against width, the steps marked, beside what MACs promise."""
        return draw(self, dark=dark, height=height)


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])

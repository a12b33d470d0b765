"""Watching for workers that live but do not answer: their heartbeat stands still.

Judged by this process's own clock from when it first saw the heartbeat, never by comparing times:
a laptop that was asleep wakes up with old heartbeats everywhere, and clocks are set.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pruneviz.jobs.views import RunView

SECOND_LOOK = 1 / 6
"""Of the seconds in which a heartbeat must change: how long one that did not is looked at again."""
DISOBEYED_SECONDS = 20.0  # in which an order to end is obeyed, or the worker is ended
SILENT = (
    "The worker process had not responded for {seconds:.0f} s and was killed. Resume the run to "
    "continue from its last checkpoint."
)


@dataclass(frozen=True)
class Hung:
    """A run whose worker must be ended, and the sentence that says why."""

    run: RunView
    why: str
    disobeyed: bool
    """Whether it was told to end, and did not."""


class Watch:
    """Remembers when each run's heartbeat and order last changed."""

    def __init__(self, stale: float) -> None:
        self.stale = stale
        self._beats: dict[str, tuple[float | None, float]] = {}
        self._orders: dict[str, float] = {}
        self._suspected: dict[str, float] = {}

    def forget(self) -> None:
        """Start again: nothing could be written for a while."""
        self._beats, self._orders, self._suspected = {}, {}, {}

    def look(self, runs: Iterable[RunView]) -> list[Hung]:
        """Return the runs whose workers no longer answer."""
        now, held = time.monotonic(), [run for run in runs if run.held]
        ids = {run.id for run in held}
        self._beats = {i: beat for i, beat in self._beats.items() if i in ids}
        self._orders = {i: since for i, since in self._orders.items() if i in ids}
        hung = []
        for run in held:
            heartbeat, since = self._beats.get(run.id, (None, now))
            if run.heartbeat != heartbeat:
                heartbeat, since = run.heartbeat, now
            self._beats[run.id] = heartbeat, since
            ordered = self._orders.setdefault(run.id, now) if _to_end(run) else now
            disobeyed = now - ordered > DISOBEYED_SECONDS
            if now - since > self.stale or disobeyed:
                why = SILENT.format(seconds=max(now - since, now - ordered))
                hung.append(Hung(run, why, disobeyed))
        return hung

    def confirmed(self, hung: Iterable[Hung]) -> list[Hung]:
        """Return those that disobey, or are still silent some time after records can be written.

        Records that nobody could write for a minute can be written again a moment before a
        worker has written its heartbeat.
        """
        now, each = time.monotonic(), list(hung)
        self._suspected = {one.run.id: self._suspected.get(one.run.id, now) for one in each}
        patience = self.stale * SECOND_LOOK
        since = self._suspected
        return [one for one in each if one.disobeyed or now - since[one.run.id] >= patience]


def _to_end(run: RunView) -> bool:
    return run.request in ("cancel", "stop")

"""Workers and apps on other machines: which of them are gone, and what becomes of their runs.

No clock is compared with another machine's: what counts is how long a heartbeat has stood still by
this process's own clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping

from pruneviz import logs
from pruneviz.jobs import recovery
from pruneviz.jobs.alive import host, is_alive
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.recovery import Held

DEATHS = 3
DIED = (
    "{count} workers died one after the other on this run, without a new checkpoint (killed, or "
    "out of memory). Look at their logs, then resume the run."
)


class Standstill:
    """Remembers since when each value has not changed."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Hashable, float]] = {}

    def seconds(self, values: Mapping[str, Hashable]) -> dict[str, float]:
        """Return for how long each value has not changed; names not given are forgotten."""
        now, before = time.monotonic(), self._since
        self._since = {
            name: known if (known := before.get(name)) and known[0] == value else (value, now)
            for name, value in values.items()
        }
        return {name: now - since for name, (_, since) in self._since.items()}

    def forget(self) -> None:
        """Start again: nothing could be written for a while."""
        self._since = {}


class Fleet:
    """Takes care of the runs of workers that are gone, for one app of a shared database."""

    def __init__(self, store: RunStore, me: str, stale: float) -> None:
        self._store = store
        self._me = me
        self._stale = stale
        self._beats = Standstill()
        self._signs = Standstill()
        self._apps: dict[str, float] = {}
        self._deaths: dict[str, tuple[int, int]] = {}

    def forget(self) -> None:
        """Start again: nothing could be written for a while."""
        self._beats.forget()
        self._signs.forget()
        self.pardon()

    def pardon(self) -> None:
        """Count deaths anew: while scheduler or records are away, they say nothing of a run."""
        self._deaths = {}

    def greet(self) -> None:
        """Tell the other apps that this one is running, and see which of them are."""
        recovery.sign(self._store, self._me)
        self._apps = self._signs.seconds(recovery.signs(self._store))

    def lives(self, app: str) -> bool:
        """Tell whether an app on another machine has given a sign of life lately."""
        return self._apps.get(app, self._stale) < self._stale

    def put_back(self) -> tuple[str, ...]:
        """Put the runs of workers that are gone back into the queue, and return their ids.

        A run fails if its workers die one after another without a new checkpoint, and nothing else
        was wrong meanwhile (`pardon`).
        """
        held = recovery.held(self._store)
        still = self._beats.seconds({run.claim: run.heartbeat for run in held})
        return tuple(
            run.id
            for run in held
            if (_died_here(run) or still[run.claim] >= self._stale) and self._again(run)
        )

    def _again(self, run: Held) -> bool:
        checkpoints, count = self._deaths.get(run.id, (run.checkpoints, 0))
        count = count + 1 if run.checkpoints <= checkpoints else 1
        self._deaths[run.id] = run.checkpoints, count
        if not recovery.requeue(self._store, run.id, run.claim, self._me):
            return False
        logs.event("worker died", run=run.id, deaths=count, level=logging.WARNING)
        if count < DEATHS:
            return True
        recovery.fail(self._store, run.id, DIED.format(count=count))
        return False


def _died_here(run: Held) -> bool:
    """Tell whether the worker was a process of this machine that has died."""
    if run.host != host() or run.pid is None:
        return False
    return is_alive(run.pid, run.process) is False

"""A worker's heartbeat: it writes the rows that have gathered and reads orders, beside the work.

The work itself never waits for the database: it leaves its rows here, and reads a plain attribute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from pruneviz.errors import StorageError
from pruneviz.jobs.leases import LOST, Lease
from pruneviz.jobs.patience import PASSING

TICK = 0.2  # seconds between looks for a cancel
WRITE = 0.5  # seconds between writes of what has gathered
HEARTBEAT = 2.0  # seconds between heartbeats when there is nothing else to write
PATIENCE = 5  # writes that fail for good, in a row, after which the run is told


class Pulse(threading.Thread):
    """Beats until `stop`; `order` is what was ordered, `failure` why nothing can be written."""

    def __init__(self, claim: Lease, *, tick: float = TICK) -> None:
        super().__init__(name=f"pulse-{claim.run.id}", daemon=True)
        self.order: str | None = None
        self.failure: StorageError | None = None
        self.last_row = 0  # id of the run's last row in the database
        self._claim = claim
        self._tick = tick
        self._rows: list[Mapping[str, Any]] = []
        self._values: dict[str, Any] = {}
        self._worked = time.time()
        self._own_order: str | None = None
        self._seconds = claim.run.seconds
        self._clock = time.monotonic()
        self._written = 0.0
        self._failures = 0
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._end = threading.Event()

    def add(self, row: Mapping[str, Any] | None = None, **values: Any) -> None:
        """Queue a row of history and columns of the run; the next beat writes them."""
        with self._lock:
            if row is not None:
                self._rows.append(row)
            self._values.update(values)

    def seconds(self) -> float:
        """Return the seconds worked so far, over all attempts."""
        now = time.monotonic()
        with self._lock:
            self._seconds += now - self._clock
            self._clock = now
            return self._seconds

    def flush(self, **values: Any) -> int:
        """Write everything now; return the id of the run's last row (0: none).

        Raises:
            StorageError: the records cannot be written; nothing that was left here is lost.
        """
        clock = {"seconds": self.seconds(), "worked": self._worked}
        with self._flushing:
            with self._lock:
                rows, self._rows = self._rows, []
                waiting, self._values = self._values, {}
            try:
                ours, last = self._claim.beat(rows, **{**waiting, **values, **clock})
            except BaseException:
                with self._lock:
                    self._rows = rows + self._rows
                    self._values = {**waiting, **self._values}
                raise
        self._written = time.monotonic()
        if not ours:
            self.order = LOST
        self.last_row = last or self.last_row
        return self.last_row

    def sign(self) -> None:
        """Note that the work makes progress; a heartbeat only shows that the process lives."""
        self._worked = time.time()

    def interrupt(self, order: str) -> None:
        """Give an order that does not come from the records: the process was asked to end."""
        self._own_order = self.order = order

    def look(self) -> str | None:
        """Read the current order."""
        if self.order != LOST:
            self.order = self._own_order or self._claim.order()
        return self.order

    def run(self) -> None:
        """Beat (the thread's own method)."""
        rest = 0.0
        while not self._end.wait(self._tick):
            try:
                self.look()
                waiting = WRITE if self._rows or self._values else HEARTBEAT
                if time.monotonic() - max(self._written, rest) >= waiting:
                    self.flush()
                self._failures = 0
            except PASSING:
                rest = time.monotonic()  # nothing is lost, and the work goes on meanwhile
            except StorageError as error:
                self._failures += 1
                if self._failures >= PATIENCE:
                    self.failure = error

    def stop(self) -> None:
        """Stop beating; queued rows are not written."""
        self._end.set()
        if self.is_alive():
            self.join()

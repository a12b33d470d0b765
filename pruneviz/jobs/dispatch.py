"""Sending queued runs to workers, and taking care of those whose worker did not finish them."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import BrokenExecutor, Future, wait
from typing import Any

from pruneviz.errors import PruneVizError, StorageError, UnknownNameError, WrongWorkerError
from pruneviz.jobs.patience import PASSING, patiently
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.recovery import fail, mark_interrupted
from pruneviz.jobs.views import RunView
from pruneviz.jobs.worker import CLOSED, sentence
from pruneviz.jobs.workers import Workers

STARTS = 3  # times that a worker may die before it has begun a run
DYING_SECONDS = 5.0  # a killed process takes a moment to disappear
UNSTARTED = (
    "A worker process could not be started; it died before the run began. The terminal in which "
    "PruneViz runs shows why."
)


class ClosedError(Exception):
    """The dispatcher was closed while it waited for the storage."""


class Dispatcher:
    """Sends queued runs to `workers`; safe to use from many threads.

    What the workers or the storage refuse for the moment is held back, in order, until
    `send_held_back`. `stale` is as for `mark_interrupted`.
    """

    def __init__(self, store: RunStore, workers: Workers, stale: float) -> None:
        self.refusal: StorageError | None = None
        """Why the storage refused the run that was held back last."""
        self._store = store
        self._workers = workers
        self._stale = stale
        self._lock = threading.Lock()
        self._closed = False
        self._futures: dict[str, Future[str]] = {}  # sent, and not dealt with yet
        self._held_back: dict[str, None] = {}  # in order
        self._starts: dict[str, int] = {}
        self._ended: dict[str, str] = {}  # why this app has killed the worker of a run

    @property
    def busy(self) -> bool:
        """Whether any run is with the workers, held back, or about to be recorded as ended."""
        with self._lock:
            return bool(self._held_back or self._futures)

    def send(self, run_id: str) -> None:
        """Send a queued run to the workers, or hold it back."""
        with self._lock:
            if self._closed:
                return
            try:
                future = self._workers.submit(run_id)
            except PASSING as error:
                self._hold_back(run_id, error)
                return
            self._futures[run_id] = future
        future.add_done_callback(lambda done: self._came_back(run_id, done))

    def send_held_back(self) -> None:
        """Try again to send what was held back."""
        with self._lock:
            waiting, self._held_back = self._held_back, {}
            self.refusal = None
        for run_id in waiting:
            self.send(run_id)

    def end(self, run: RunView, why: str) -> None:
        """Kill the worker of a run, where it is a process of this app; the run says `why`."""
        pool = self._workers.pool
        if pool is not None and run.pid in {process.pid for process in pool.processes()}:
            self._ended[run.id] = why  # first: other threads mark the run at once
            pool.end(run.pid)

    def mark_interrupted(self) -> tuple[RunView, ...]:
        """Mark the runs whose worker is gone from this machine, and return them."""
        return mark_interrupted(self._store, self._stale, known=self._ended)

    def close(self, timeout: float) -> None:
        """Send nothing more; stop the app's own workers, and kill them after `timeout` seconds."""
        with self._lock:
            self._closed = True
            under_way = {i: future for i, future in self._futures.items() if not future.done()}
        pool = self._workers.pool
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            for run_id in under_way:
                with contextlib.suppress(PruneVizError):
                    self._store.request_stop(run_id)
            if wait(list(under_way.values()), timeout).not_done:
                pool.kill()
            with contextlib.suppress(StorageError):
                mark_interrupted(self._store, self._stale, why=CLOSED)
        self._workers.leave()

    def _hold_back(self, run_id: str, error: BaseException) -> None:
        self._held_back[run_id] = None
        if not self._workers.are_away(error) and isinstance(error, StorageError):
            self.refusal = error

    def _came_back(self, run_id: str, future: Future[str]) -> None:
        """Handle a run that a worker gives back: ended, refused or failed."""
        error = None if future.cancelled() else future.exception()
        if error is None or self._closed:
            self._forget(run_id, future)
        elif isinstance(error, (*PASSING, WrongWorkerError)):
            with self._lock:  # it was not begun, or its end is still to be recorded
                self._hold_back(run_id, error)
            self._forget(run_id, future)
        else:
            # In a thread of its own: this one may belong to the pool that has just broken.
            mending = (run_id, future, error)
            threading.Thread(target=self._mend, args=mending, daemon=True).start()

    def _forget(self, run_id: str, future: Future[str]) -> None:
        with self._lock:
            if self._futures.get(run_id) is future:  # it has not been sent again
                del self._futures[run_id]

    def _mend(self, run_id: str, future: Future[Any], error: BaseException) -> None:
        try:
            with contextlib.suppress(UnknownNameError, ClosedError):  # deleted, or left for later
                if isinstance(error, BrokenExecutor):
                    patiently(lambda: self._mend_broken(run_id), self._check_open)
                else:
                    text = sentence(error)
                    patiently(lambda: fail(self._store, run_id, text), self._check_open)
        finally:
            self._forget(run_id, future)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError

    def _mend_broken(self, run_id: str) -> None:
        """Take care of a run whose worker died, whether it was under way or had not begun."""
        deadline = time.monotonic() + (0 if self._workers.remote else DYING_SECONDS)
        while time.monotonic() < deadline:
            self.mark_interrupted()
            if not self._store.get(run_id).held:
                break
            time.sleep(0.05)
        self._ended.pop(run_id, None)
        if self._store.get(run_id).status != "queued":
            return
        self._starts[run_id] = self._starts.get(run_id, 0) + 1
        if self._starts[run_id] >= STARTS:
            fail(self._store, run_id, UNSTARTED)
        else:
            self.send(run_id)

"""Looking after the runs of a home while there are any: dead and hung workers, a full disk."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from pruneviz import logs
from pruneviz.errors import StorageError
from pruneviz.jobs import planned
from pruneviz.jobs.dispatch import Dispatcher
from pruneviz.jobs.fleet import Fleet
from pruneviz.jobs.home import check_space, reserve
from pruneviz.jobs.listing import Which
from pruneviz.jobs.planning import Planner
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.recovery import adopt, disown, touch
from pruneviz.jobs.views import RunView
from pruneviz.jobs.watch import Watch
from pruneviz.jobs.workers import Workers

TEND_SECONDS = 3.0


class Tender:
    """Looks after the runs every few seconds, in a thread of its own: no page need be open.

    `me` is the app's id among those that share the database. The thread ends when there is nothing
    to look after; `send` starts it again. Where other machines share the database it goes on, for
    this app must give signs of life.
    """

    def __init__(
        self,
        store: RunStore,
        workers: Workers,
        dispatcher: Dispatcher,
        planner: Planner,
        me: str,
        stale: float,
    ) -> None:
        self._store = store
        self._workers = workers
        self._dispatcher = dispatcher
        self._planner = planner
        self._me = me
        self._watch = Watch(stale)
        shared = workers.remote or store.database.address is not None
        self._fleet = Fleet(store, me, stale) if shared else None
        self._trouble: StorageError | None = None
        self._tended = 0.0  # when, by the monotonic clock
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        if shared:
            self._start()

    @property
    def trouble(self) -> StorageError | None:
        """Why runs wait; None: all is well."""
        return self._trouble or self._dispatcher.refusal

    def send(self, run_id: str) -> None:
        """Send a queued run to the workers, and look after it."""
        self._dispatcher.send(run_id)
        self._start()

    def tend(self) -> None:
        """See what has gone wrong and put it right, unless that was done just now."""
        with self._lock:
            recent = time.monotonic() - self._tended < TEND_SECONDS
            if self._stopped.is_set() or recent:
                return
            self._tended = time.monotonic()
        try:
            self._store.check_there()
            check_space(self._store.home)
            self.recover()
            self._end_hung()
            reserve(self._store.home)
        except StorageError as error:
            if self._trouble is None:
                logs.event("runs wait", why=str(error), level=logging.WARNING)
            self._trouble = error
            self._watch.forget()  # heartbeats stand still because they cannot be written
            if self._fleet is not None:
                self._fleet.forget()
        else:
            if self._trouble is not None:
                logs.event("runs go on")
            self._trouble = None
            self._dispatcher.send_held_back()

    def tend_next_time(self) -> None:
        """Have the next call of `tend` look, however recent the last one was."""
        self._tended = 0.0

    def recover(self) -> tuple[RunView, ...]:
        """Take over what others left behind; return the runs that are now marked as interrupted.

        A run whose remote worker is gone goes back to the queue; one whose worker here is gone is
        interrupted. Queued runs whose app is gone are sent, and so are those that open studies
        allow.
        """
        if self._fleet is not None:
            self._fleet.greet()
        interrupted: tuple[RunView, ...] = ()
        if self._fleet is not None and self._workers.remote:
            for run_id in self._fleet.put_back():
                self.send(run_id)
        else:
            interrupted = self._dispatcher.mark_interrupted()
        for run in adopt(self._store, self._me, self._lives):
            self.send(run.id)
        self.plan()
        return interrupted

    def plan(self) -> None:
        """Send the runs that open studies allow, and look again when those have ended."""
        for run_id in self._planner.submit(self._lives):
            self.send(run_id)
        if self._planner.waiting:
            self._start()

    def _lives(self, app: str) -> bool:
        return self._fleet is not None and self._fleet.lives(app)

    def stop(self) -> None:
        """Look after nothing any more, and leave the queue to whoever comes next."""
        self._stopped.set()
        with contextlib.suppress(StorageError):
            disown(self._store, self._me)
            planned.disown(self._store.database, self._me)

    def _end_hung(self) -> None:
        """End this app's workers that do not answer; other apps see to their own."""
        if self._workers.pool is None:
            return
        hung = self._watch.look(self._store.list(Which(held=True)))
        if hung:  # or is it the records that nobody can write?
            touch(self._store, hung[0].run.id)
        for one in self._watch.confirmed(hung):
            self._dispatcher.end(one.run, one.why)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._keep_tending, daemon=True)
                self._thread.start()

    def _keep_tending(self) -> None:
        while not self._stopped.wait(TEND_SECONDS):
            with self._lock:
                idle = not self._dispatcher.busy and not self._planner.waiting
                if self._fleet is None and idle:
                    self._thread = None
                    return
            self._workers.look()  # here alone: no page waits for a scheduler
            if self._fleet is not None and self._workers.away is not None:
                self._fleet.pardon()
            self.tend()

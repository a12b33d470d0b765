"""The one object that the app and notebooks use for background work."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from pathlib import Path
from typing import Any

from pruneviz.errors import (
    InvalidValueError,
    PruneVizError,
    StorageError,
    StorageGoneError,
    StorageUnreachableError,
    UnknownNameError,
    WrongWorkerError,
)
from pruneviz.jobs import durations, quota
from pruneviz.jobs.alive import host, identity
from pruneviz.jobs.artifacts import resolve_store
from pruneviz.jobs.dask_executor import resolve_scheduler
from pruneviz.jobs.database import resolve_database
from pruneviz.jobs.elsewhere import Order, check_travels, dask_executor, run_elsewhere, versions
from pruneviz.jobs.executor import WorkerPool, resolve_workers
from pruneviz.jobs.fleet import Fleet
from pruneviz.jobs.gate import Gate
from pruneviz.jobs.home import check_space, reserve, resolve_home
from pruneviz.jobs.known import LastKnown
from pruneviz.jobs.listing import Choices, Which
from pruneviz.jobs.patience import PASSING, patiently
from pruneviz.jobs.records import ALL, RunStore
from pruneviz.jobs.recovery import STALE_SECONDS, adopt, disown, fail, mark_interrupted, touch
from pruneviz.jobs.registry import find_kind
from pruneviz.jobs.views import MetricView, RunSpec, RunView
from pruneviz.jobs.watch import Watch
from pruneviz.jobs.worker import CLOSED, run_job, sentence, warm
from pruneviz.machine import cores

TEND_SECONDS = 3.0
STARTS = 3  # times that a worker may die before it has begun a run
UNSTARTED = (
    "A worker process could not be started; it died before the run began. The terminal in which "
    "PruneViz runs shows why."
)


class JobService:
    """Submits runs, and tells how they stand; safe to use from many threads.

    `home` is resolved as `resolve_home` does, `database` as `resolve_database`, `artifacts` as
    `resolve_store`. By default runs are done one after the other by a spawned process; any
    `concurrent.futures.Executor` can take its place. `plugins` are modules that register further
    kinds of runs. `gate` is asked before a run is started or changed; without one, whoever holds
    the service may do everything.

    `workers` is how many processes do runs at the same time here (`$PRUNEVIZ_WORKERS`, else one).
    With a `scheduler` (`$PRUNEVIZ_SCHEDULER`), or where the executor's workers are `elsewhere`,
    runs are done on other machines, which share the database and the store alone: a run whose
    worker is gone goes back to the queue by itself.

    Raises:
        StorageError: the folder, database, store or scheduler cannot be used.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        database: str | None = None,
        artifacts: str | None = None,
        executor: Executor | None = None,
        elsewhere: bool = False,
        scheduler: str | None = None,
        workers: int | None = None,
        threads: int | None = None,
        plugins: Sequence[str] = (),
        stale: float = STALE_SECONDS,
        gate: Gate | None = None,
    ) -> None:
        self.home: Path = resolve_home(home)
        self.store = RunStore(self.home, resolve_database(database), resolve_store(artifacts))
        place = resolve_scheduler(scheduler) if executor is None else None
        self._dask = None if place is None else dask_executor(place, self.store)
        count = resolve_workers(workers)
        pool = WorkerPool(count) if executor is None and self._dask is None else None
        self._pool = pool
        self._executor: Executor = executor or self._dask or pool or WorkerPool(count)
        self._elsewhere = elsewhere or self._dask is not None
        self._plugins = tuple(plugins)
        self._threads = threads if threads or count == 1 else max(1, cores() // count)
        self._stale = stale
        self._gate = gate
        self._me = f"{host()}|{os.getpid()}|{identity(os.getpid()) or ''}|{uuid.uuid4().hex}"
        self._futures: dict[str, Future[str]] = {}
        self._starts: dict[str, int] = {}
        self._lock = threading.RLock()
        self._tended = 0.0
        self._closed = False
        self._known = LastKnown()
        self._watch = Watch(stale)
        self._trouble: StorageError | None = None
        self._held_back: dict[str, None] = {}  # in order: queued, and not begun for lack of space
        self._ended_by_us: dict[str, str] = {}
        self._tender: threading.Thread | None = None
        self._wake = threading.Event()
        self._away: str | None = None  # why nothing is done elsewhere at present
        self._fleet: Fleet | None = None
        if self._elsewhere or self.store.database.address is not None:
            self._fleet = Fleet(self.store, self._me, stale)
            self._start_tending()
        reserve(self.home)
        _at_exit(self)

    # ---------------------------------------------------------------------------------- doing
    def submit(self, spec: RunSpec | Mapping[str, Any]) -> str:
        """Queue a run and return its id.

        Raises:
            UnknownNameError: there is no such kind of run.
            InvalidValueError: a specification that JSON cannot hold.
            StorageError: the records cannot be written.
            NotAllowedError: it is queued already, or a visitor's limit is reached.
        """
        spec = spec if isinstance(spec, RunSpec) else RunSpec.from_dict(spec)
        find_kind(spec.kind, self._plugins)
        if self._elsewhere:
            check_travels(spec.model, spec.data)
        if self._gate is None:
            run = self.store.create(spec, submitter=self._me)
        else:
            with self._gate.admission:
                spec = self._gate.admit(spec, self.store)
                run = self.store.create(spec, submitter=self._me)
            quota.note(self.store, run.id, self._gate.share())
        self._send(run.id)
        return run.id

    def cancel(self, run_id: str) -> RunView:
        """End a run for good; within a batch when it is under way."""
        self._allow("cancel", run_id)
        return self.store.request_cancel(run_id)

    def resume(self, run_id: str) -> RunView:
        """Let an interrupted, failed or cancelled run go on from its last checkpoint."""
        if self._gate is not None:
            self._gate.readmit(self.store.get(run_id), self.store)
            quota.note(self.store, run_id, self._gate.share())
        if self.store.request_resume(run_id, submitter=self._me):
            self._send(run_id)
        return self.store.get(run_id)

    def rename(self, run_id: str, name: str) -> RunView:
        """Give a run another name."""
        self._allow("rename", run_id)
        return self.store.rename(run_id, name)

    def delete(self, run_id: str) -> None:
        """Remove a run with all that it wrote; one under way stops."""
        self._allow("delete", run_id)
        self.store.delete(run_id)

    def _allow(self, what: str, run_id: str) -> None:
        if self._gate is not None:
            self._gate.allow(what, self.store.get(run_id))

    # --------------------------------------------------------------------------------- telling
    def list(
        self,
        which: Which = ALL,
        *,
        owner: str | None = None,
        parent: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[RunView, ...]:
        """Return the runs, newest first; `limit` of them, from the one numbered `offset` on."""
        self._tend()
        return self._known.ask(
            ("list", which, owner, parent, status, limit, offset),
            lambda: self.store.list(
                which, owner=owner, parent=parent, status=status, limit=limit, offset=offset
            ),
        )

    def count(self, which: Which = ALL) -> int:
        """Return how many runs there are."""
        return self._known.ask(("count", which), lambda: self.store.count(which))

    def choices(self) -> Choices:
        """Return what the runs can be filtered by."""
        return self._known.ask(("choices",), self.store.choices)

    def get(self, run_id: str) -> RunView:
        """Return a run as it stands."""
        self._tend()
        return self._known.ask(("get", run_id), lambda: self.store.get(run_id))

    def metrics(
        self, run_id: str, *, since: int = 0, level: str | None = None
    ) -> tuple[MetricView, ...]:
        """Return the rows of a run's history whose id is above `since`, oldest first."""
        return self._known.ask(
            ("metrics", run_id, since, level),
            lambda: self.store.metrics(run_id, since=since, level=level),
        )

    def results(self, run_id: str) -> dict[str, Any]:
        """Return what a run has found so far: name to JSON payload."""
        return self._known.ask(("results", run_id), lambda: self.store.results(run_id))

    def files(self, run_id: str) -> Path:
        """Return a folder with the files of a run, brought from the store where there is one."""
        return self.store.files.read(run_id)

    def has_file(self, run_id: str, name: str) -> bool:
        """Tell whether a run has a file of that name; nothing is brought."""
        return self.store.files.has(run_id, name)

    def expected_duration(self, spec: RunSpec | Mapping[str, Any]) -> float | None:
        """Return the seconds that a run like this took here before; None when there was none."""
        spec = spec if isinstance(spec, RunSpec) else RunSpec.from_dict(spec)
        return durations.expected(self.store.list(status="done"), spec)

    def wait(self, run_id: str, timeout: float | None = None) -> RunView:
        """Wait until a run has ended, and return it.

        Raises:
            InvalidValueError: `timeout` seconds have passed.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            run = self.get(run_id)
            if not run.active:
                return run
            if until is not None and time.monotonic() > until:
                raise InvalidValueError(
                    f"Run '{run.name}' has not ended after {timeout} s; it is {run.status}, "
                    f"{run.progress:.0%} done. Wait longer, or look again later."
                )
            time.sleep(0.05)

    # --------------------------------------------------------------------------- keeping order
    def trouble(self) -> str | None:
        """Return why runs wait and pages show what was last known; None: all is well."""
        self._tend()
        error = self._trouble or self._known.trouble
        return self._away if error is None else str(error)

    @property
    def rescuable(self) -> bool:
        """Whether the folder is gone and `rescue` would write the records anew."""
        return isinstance(self._trouble, StorageGoneError)

    def rescue(self) -> None:
        """Write the records anew after their folder was deleted; runs under way save theirs.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """
        self.store.rescue()
        self._tended = 0.0

    def recover(self) -> tuple[RunView, ...]:
        """Mark runs whose worker is gone as interrupted (returned), and take up the queue.

        For the start of an app. Runs that were never started and whose app is gone are submitted;
        interrupted ones wait for `resume`.
        """
        lives = _nobody
        if self._fleet is not None:
            self._fleet.greet()
            lives = self._fleet.lives
        if self._fleet is not None and self._elsewhere:
            for run_id in self._fleet.put_back():
                self._send(run_id)
            interrupted: tuple[RunView, ...] = ()
        else:
            interrupted = mark_interrupted(self.store, self._stale, known=self._ended_by_us)
        for run in adopt(self.store, self._me, lives):
            self._send(run.id)
        return interrupted

    def warm(self) -> None:
        """Start the worker now, so that the first run need not wait for its imports."""
        if not self._elsewhere:
            self._executor.submit(warm)

    def close(self, timeout: float = 10.0) -> None:
        """Stop: the own runs under way end as interrupted, those that wait are kept for later.

        An executor that was given is left alone, with its runs, and so is a scheduler.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            under_way = {i: f for i, f in self._futures.items() if not f.done()}
        self._wake.set()
        with contextlib.suppress(StorageError):
            disown(self.store, self._me)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for run_id in under_way:
                with contextlib.suppress(PruneVizError):
                    self.store.request_stop(run_id)
            if wait(list(under_way.values()), timeout).not_done:
                self._pool.kill()
            with contextlib.suppress(StorageError):
                mark_interrupted(self.store, self._stale, why=CLOSED)
        if self._dask is not None:
            self._dask.shutdown()
        self.store.close()

    def __enter__(self) -> JobService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tend(self) -> None:
        """Now and then see to what has gone wrong: dead and hung workers, a full disk."""
        with self._lock:
            if self._closed or time.monotonic() - self._tended < TEND_SECONDS:
                return
            self._tended = time.monotonic()
        try:
            self.store.check_there()
            check_space(self.home)
            self.recover()
            self._end_hung()
            reserve(self.home)
        except StorageError as error:
            self._trouble = error
            self._watch.forget()  # heartbeats stand still because they cannot be written
            if self._fleet is not None:
                self._fleet.forget()
        else:
            self._trouble = None
            self._send_held_back()

    def _end_hung(self) -> None:
        """End the own workers that do not answer; others' are their apps' to end."""
        if self._pool is None:
            return
        found = self._watch.look(self.store.list(Which(held=True)))
        if found:  # or is it the records that nobody can write?
            touch(self.store, found[0].run.id)
        for hung in found:
            if hung.run.pid in {process.pid for process in self._pool.processes()}:
                self._ended_by_us[hung.run.id] = hung.why  # first: others mark it at once
                self._pool.end(hung.run.pid)

    def _keep_tending(self) -> None:
        """Tend as long as there is work (a thread of its own): nobody need look at a page."""
        while not self._wake.wait(TEND_SECONDS):
            with self._lock:
                done = not self._held_back and all(f.done() for f in self._futures.values())
                if done and self._fleet is None:
                    self._tender = None
                    return
            if self._dask is not None:  # here alone: no page waits for a scheduler
                self._away = self._dask.trouble()
            self._tend()

    def _send(self, run_id: str) -> None:
        with self._lock:
            if self._closed:
                return
            self._start_tending()
            try:
                future = self._submitted(run_id)
            except PASSING as error:
                self._held_back[run_id] = None
                self._away = str(error)
                return
            self._futures[run_id] = future
        future.add_done_callback(lambda done: self._ended(run_id, done))

    def _submitted(self, run_id: str) -> Future[str]:
        if not self._elsewhere:
            where = self.store.database.address, self.store.files.address
            return self._executor.submit(
                run_job, str(self.home), run_id, self._plugins, self._threads, *where
            )
        if self._away is not None and self._dask is not None and not self._dask.connected:
            raise StorageUnreachableError(self._away)
        stamp, ticket = self.store.database.stamp, uuid.uuid4().hex
        order = Order(run_id, ticket, stamp, versions(), self._plugins, self._threads)
        return self._executor.submit(run_elsewhere, order)

    def _start_tending(self) -> None:
        if self._tender is None:
            self._tender = threading.Thread(target=self._keep_tending, daemon=True)
            self._tender.start()

    def _send_held_back(self) -> None:
        with self._lock:
            waiting, self._held_back = self._held_back, {}
        for run_id in waiting:
            self._send(run_id)

    def _ended(self, run_id: str, future: Future[str]) -> None:
        """Look after a run whose worker did not bring it to an end."""
        error = None if future.cancelled() else future.exception()
        if error is None or self._closed:
            return
        passing = (*PASSING, WrongWorkerError)
        if isinstance(error, passing):  # it was not begun, or is still to be recorded
            with self._lock:
                self._held_back[run_id] = None
                if isinstance(error, StorageUnreachableError) and self._dask is not None:
                    self._away = str(error)
                elif isinstance(error, StorageError):
                    self._trouble = error
            return
        # In a thread of its own: this one may belong to the pool that has just broken.
        threading.Thread(target=self._mend, args=(run_id, error), daemon=True).start()

    def _mend(self, run_id: str, error: BaseException) -> None:
        with contextlib.suppress(UnknownNameError):
            if isinstance(error, BrokenExecutor):
                patiently(lambda: self._mend_broken(run_id), self._give_up_if_closed)
            else:
                text = sentence(error)
                patiently(lambda: fail(self.store, run_id, text), self._give_up_if_closed)

    def _give_up_if_closed(self) -> None:
        if self._closed:
            raise UnknownNameError("run", "(closed)", ())

    def _mend_broken(self, run_id: str) -> None:
        """See to a run whose worker died: it was under way there, or had not begun."""
        deadline = time.monotonic() + (0 if self._elsewhere else 5)
        while time.monotonic() < deadline:  # a killed process takes a moment to disappear
            mark_interrupted(self.store, self._stale, known=self._ended_by_us)
            if not self.store.get(run_id).held:
                break
            time.sleep(0.05)
        self._ended_by_us.pop(run_id, None)
        if self.store.get(run_id).status != "queued":
            return
        self._starts[run_id] = self._starts.get(run_id, 0) + 1
        if self._starts[run_id] >= STARTS:
            fail(self.store, run_id, UNSTARTED)
        else:
            self._send(run_id)


def _nobody(app: str) -> bool:
    return False


def _at_exit(service: JobService) -> None:
    """Close the service before the interpreter waits for the pool to finish its runs.

    `concurrent.futures` has the interpreter wait for all work in hand before ordinary exit
    functions are called; a run of an hour would keep Ctrl-C waiting for an hour.
    """
    known = weakref.ref(service)

    def close() -> None:
        alive = known()
        if alive is not None:
            alive.close(timeout=5.0)

    register = getattr(threading, "_register_atexit", atexit.register)
    with contextlib.suppress(RuntimeError):  # the interpreter is ending already
        register(close)

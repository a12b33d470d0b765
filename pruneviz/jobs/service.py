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
from concurrent.futures import Executor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pruneviz import logs
from pruneviz.errors import InvalidValueError, StorageGoneError
from pruneviz.jobs import durations, planned, quota
from pruneviz.jobs.alive import host, identity
from pruneviz.jobs.artifacts import resolve_store
from pruneviz.jobs.database import resolve_database
from pruneviz.jobs.dispatch import Dispatcher
from pruneviz.jobs.elsewhere import check_travels
from pruneviz.jobs.gate import Gate
from pruneviz.jobs.given import Giver, paths_of
from pruneviz.jobs.home import reserve, resolve_home
from pruneviz.jobs.known import LastKnown
from pruneviz.jobs.listing import Choices, Which
from pruneviz.jobs.mirror import Kept
from pruneviz.jobs.planned import CANCELLED, OPEN, Planned
from pruneviz.jobs.planning import Planner
from pruneviz.jobs.records import ALL, RunStore
from pruneviz.jobs.recovery import STALE_SECONDS
from pruneviz.jobs.registry import find_kind
from pruneviz.jobs.tending import Tender
from pruneviz.jobs.views import MetricView, RunSpec, RunView
from pruneviz.jobs.workers import workers_for


class JobService:
    """Submits runs and reports on them; safe to use from many threads.

    `home` is resolved as `resolve_home` does, `database` as `resolve_database`, `artifacts` as
    `resolve_store`. By default a spawned process does runs one after another; any
    `concurrent.futures.Executor` can take its place. `plugins` are modules that register further
    kinds of runs. `gate` is asked before a run is started or changed; without one, whoever holds
    the service may do everything.

    `workers` is how many processes do runs at the same time here (`$PRUNEVIZ_WORKERS`, else one).
    With a `scheduler` (`$PRUNEVIZ_SCHEDULER`), or where the executor's workers are `elsewhere`,
    runs are done on other machines, which share only the database and the store: a run whose worker
    is gone goes back to the queue by itself.

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
        self._me = f"{host()}|{os.getpid()}|{identity(os.getpid()) or ''}|{uuid.uuid4().hex}"
        self._plugins = tuple(plugins)
        self._gate = gate
        self._known = LastKnown()
        self._giver = Giver(self.store.files, self.home)
        self._workers = workers_for(
            self.store,
            executor=executor,
            elsewhere=elsewhere,
            scheduler=scheduler,
            count=workers,
            threads=threads,
            plugins=plugins,
        )
        self._dispatcher = Dispatcher(self.store, self._workers, stale)
        planner = Planner(self.store, self._me, self._given_like)
        self._tender = Tender(self.store, self._workers, self._dispatcher, planner, self._me, stale)
        self._closed = threading.Lock()
        reserve(self.home)
        _at_exit(self)

    # ---------------------------------------------------------------------------------- doing
    def submit(self, spec: RunSpec | Mapping[str, Any], *, once: bool = False) -> str:
        """Queue a run and return its id; `once`: if its study has one that does the same, its id.

        Raises:
            UnknownNameError: there is no such kind of run.
            InvalidValueError: a specification that JSON cannot hold.
            StorageError: the records cannot be written.
            NotAllowedError: it is queued already, or a visitor's limit is reached.
        """
        spec = spec if isinstance(spec, RunSpec) else RunSpec.from_dict(spec)
        find_kind(spec.kind, self._plugins)
        if self._workers.remote:
            check_travels(spec)
        if self._gate is None:
            run = self._create(spec, once)
        else:
            with self._gate.admission:
                spec = self._gate.admit(spec, self.store)
                run = self._create(spec, once)
        if run is None:  # another process has just submitted it
            runs = self.store.list(Which(parent=spec.parent))
            return next(other.id for other in runs if other.spec.work == spec.work)
        if self._gate is not None:
            quota.note(self.store, run.id, self._gate.share())
        logs.event("run queued", run=run.id, owner=run.owner, kind=run.kind)
        self._tender.send(run.id)
        return run.id

    def _create(self, spec: RunSpec, once: bool) -> RunView | None:
        given = self._giver.send(spec) if self._workers.remote else None
        make = self.store.create_once if once else self.store.create
        return make(spec, submitter=self._me, given=given)

    def _given_like(self, spec: RunSpec, runs: Sequence[RunView]) -> Mapping[str, Kept] | None:
        """Return what a run is given, as an earlier run of its study was, on whichever machine."""
        if not self._workers.remote:
            return None
        paths = paths_of(spec)
        for run in runs if paths else ():
            if paths_of(run.spec) == paths and (known := self.store.files.given(run.id)):
                return known
        return self._giver.send(spec)

    def keep_study(self, study: Planned) -> None:
        """Submit the runs of a study when they may begin, whether or not a page is open.

        The study is in the records: if this app ends, another one goes on with it.

        Raises:
            NotAllowedError: it is another visitor's.
        """
        known = planned.find(self.store.database, study.id)
        if self._gate is not None:
            if known is not None:
                self._gate.allow("restart", known)
            share = self._gate.share()
            owner = self._gate.visitor.id or study.owner
            study = replace(study, owner=owner, quota=None if share is None else asdict(share))
        planned.keep(self.store.database, replace(study, submitter=self._me))
        self._tender.plan()

    def cancel_study(self, study_id: str) -> None:
        """Submit no further runs of a study; those under way are not touched."""
        self._set_study("cancel", study_id, CANCELLED)

    def resume_study(self, study_id: str) -> None:
        """Submit the runs of a cancelled study again."""
        self._set_study("resume", study_id, OPEN)
        self._tender.plan()

    def _set_study(self, what: str, study_id: str, status: str) -> None:
        known = planned.find(self.store.database, study_id)
        if known is not None:
            if self._gate is not None:
                self._gate.allow(what, known)
            planned.set_status(self.store.database, study_id, status)

    def planned(self, study_id: str) -> Planned | None:
        """Return what is on record of a study that was kept (`keep_study`); None: nothing."""
        return self._known.ask(
            ("planned", study_id), lambda: planned.find(self.store.database, study_id)
        )

    def cancel(self, run_id: str) -> RunView:
        """Cancel a run for good; one that is under way ends within a batch."""
        self._allow("cancel", run_id)
        run = self.store.request_cancel(run_id)
        logs.event("cancel asked for", run=run_id, owner=run.owner, status=run.status)
        return run

    def resume(self, run_id: str) -> RunView:
        """Resume an interrupted, failed or cancelled run from its last checkpoint."""
        if self._gate is not None:
            self._gate.readmit(self.store.get(run_id), self.store)
            quota.note(self.store, run_id, self._gate.share())
        if self.store.request_resume(run_id, submitter=self._me):
            logs.event("run resumed", run=run_id)
            self._tender.send(run_id)
        return self.store.get(run_id)

    def rename(self, run_id: str, name: str) -> RunView:
        """Give a run another name."""
        self._allow("rename", run_id)
        return self.store.rename(run_id, name)

    def tag(self, run_id: str, tag: str) -> RunView:
        """Give a run a tag, or none where it is empty."""
        self._allow("tag", run_id)
        return self.store.tag(run_id, tag)

    def delete(self, run_id: str) -> None:
        """Delete a run with everything it wrote; one that is under way stops."""
        self._allow("delete", run_id)
        parent = self.store.get(run_id).parent
        study = None if parent is None else planned.find(self.store.database, parent)
        if study is not None and study.status == OPEN:  # or the run would be submitted again
            planned.set_status(self.store.database, study.id, CANCELLED)
        self.store.delete(run_id)
        if study is not None and not self.store.count(Which(parent=study.id)):
            planned.forget(self.store.database, study.id)
        logs.event("run deleted", run=run_id)

    def _allow(self, what: str, run_id: str) -> None:
        if self._gate is not None:
            self._gate.allow(what, self.store.get(run_id))

    # --------------------------------------------------------------------------------- telling
    def list(
        self, which: Which = ALL, *, limit: int | None = None, offset: int = 0
    ) -> tuple[RunView, ...]:
        """Return the runs, newest first; `limit` of them, from the one numbered `offset` on."""
        self._tender.tend()
        return self._known.ask(
            ("list", which, limit, offset),
            lambda: self.store.list(which, limit=limit, offset=offset),
        )

    def count(self, which: Which = ALL) -> int:
        """Return how many runs there are."""
        return self._known.ask(("count", which), lambda: self.store.count(which))

    def choices(self) -> Choices:
        """Return what the runs can be filtered by."""
        return self._known.ask(("choices",), self.store.choices)

    def get(self, run_id: str) -> RunView:
        """Return a run as it stands."""
        self._tender.tend()
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
        """Return a run's results so far: name to JSON payload."""
        return self._known.ask(("results", run_id), lambda: self.store.results(run_id))

    def files(self, run_id: str) -> Path:
        """Return a folder with the files of a run, fetched from the store if there is one."""
        return self.store.files.read(run_id)

    def has_file(self, run_id: str, name: str) -> bool:
        """Tell whether a run has a file of that name, without fetching it."""
        return self.store.files.has(run_id, name)

    def outlook(self, specs: Sequence[RunSpec]) -> durations.Outlook:
        """Return what some runs will probably take: seconds, and bytes of files.

        Where workers are on other machines, the runs done on any of them are looked at; else those
        done here.
        """
        return durations.outlook(self.store, specs, anywhere=self._workers.remote)

    def expected_duration(self, spec: RunSpec | Mapping[str, Any]) -> float | None:
        """Return the seconds that a run like this took before; None when there was none."""
        spec = spec if isinstance(spec, RunSpec) else RunSpec.from_dict(spec)
        ahead = self.outlook([spec])
        return ahead.seconds if ahead.timed else None

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
        self._tender.tend()
        error = self._tender.trouble or self._known.trouble
        return self._workers.away if error is None else str(error)

    @property
    def rescuable(self) -> bool:
        """Whether the folder is gone and `rescue` would restore the records."""
        return isinstance(self._tender.trouble, StorageGoneError)

    def rescue(self) -> None:
        """Restore the records after their folder was deleted; runs under way save their own.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """
        self.store.rescue()
        self._tender.tend_next_time()

    def recover(self) -> tuple[RunView, ...]:
        """Mark the runs whose worker is gone as interrupted, return them, and continue the queue.

        To be called when an app starts. Queued runs whose app is gone are submitted; interrupted
        ones wait for `resume`.
        """
        return self._tender.recover()

    def warm(self) -> None:
        """Start the worker now, so that the first run need not wait for its imports."""
        self._workers.warm()

    def close(self, timeout: float = 10.0) -> None:
        """Stop: this app's runs under way end as interrupted, those that wait are kept for later.

        An executor that was passed in is left alone with its runs, and so is a scheduler.
        """
        if self._closed.acquire(blocking=False):  # once, and for good
            self._tender.stop()
            self._dispatcher.close(timeout)
            self.store.close()

    def __enter__(self) -> JobService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _at_exit(service: JobService) -> None:
    """Close the service before the interpreter waits for the pool to finish its runs.

    `concurrent.futures` makes the interpreter wait for all current work before it calls ordinary
    exit functions; a run of an hour would keep Ctrl-C waiting for an hour.
    """
    known = weakref.ref(service)

    def close() -> None:
        alive = known()
        if alive is not None:
            alive.close(timeout=5.0)

    register = getattr(threading, "_register_atexit", atexit.register)
    with contextlib.suppress(RuntimeError):  # the interpreter is ending already
        register(close)

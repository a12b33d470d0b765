"""The records of background runs, as the app and a notebook see them: read, ask for, tidy up.

Workers write through `pruneviz.jobs.leases`. Every change of status is one conditional UPDATE, so
any number of processes may share one home.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.jobs.alive import host, is_alive, is_gone
from pruneviz.jobs.schema import Metric, Result, Run, open_database, storage_errors, writing
from pruneviz.jobs.views import ACTIVE, RESUMABLE, MetricView, RunSpec, RunView

STALE_SECONDS = 60.0
LOST = (
    "The worker process ended unexpectedly (killed, or out of memory). Resume the run to go on "
    "from its last checkpoint."
)
WORKING = ("running", "cancelling")


class RunStore:
    """The runs kept in `home`: one database, and one folder a run for what is large."""

    def __init__(self, home: str | Path) -> None:
        self.home = Path(home)
        self.path = self.home / "pruneviz.db"
        self._engine = open_database(self.path)
        self._writer = writing(self._engine)

    def close(self) -> None:
        """Close the connections; the object is of no use afterwards."""
        self._engine.dispose()

    def directory(self, run_id: str) -> Path:
        """Return the folder of a run: checkpoints, weights, arrays."""
        return self.home / "runs" / run_id

    # ------------------------------------------------------------------------------- reading
    def get(self, run_id: str) -> RunView:
        """Return a run.

        Raises:
            UnknownNameError: there is none of that id (it may have been deleted).
        """
        with self.reading() as session:
            run = session.get(Run, run_id)
            if run is None:
                raise UnknownNameError("run", run_id, session.scalars(select(Run.id)))
            return view(run)

    def list(
        self, *, owner: str | None = None, parent: str | None = None, status: str | None = None
    ) -> tuple[RunView, ...]:
        """Return the runs, newest first; of one owner, of one study, or of one status."""
        query = select(Run).order_by(Run.created.desc(), Run.id)
        for column, wanted in ((Run.owner, owner), (Run.parent, parent), (Run.status, status)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self.reading() as session:
            return tuple(view(run) for run in session.scalars(query))

    def queue(self) -> tuple[RunView, ...]:
        """Return what waits, in the order in which it was queued."""
        query = select(Run).where(Run.status == "queued").order_by(Run.queued, Run.id)
        with self.reading() as session:
            return tuple(view(run) for run in session.scalars(query))

    def metrics(
        self, run_id: str, *, since: int = 0, level: str | None = None
    ) -> tuple[MetricView, ...]:
        """Return the rows of a run's history whose id is above `since`, oldest first."""
        query = select(Metric).where(Metric.run_id == run_id, Metric.id > since)
        if level is not None:
            query = query.where(Metric.level == level)
        names = [item.name for item in dataclasses.fields(MetricView)]
        with self.reading() as session:
            rows = session.scalars(query.order_by(Metric.id))
            return tuple(MetricView(**{n: getattr(row, n) for n in names}) for row in rows)

    def results(self, run_id: str) -> dict[str, Any]:
        """Return what the run has found so far: name to JSON payload."""
        query = select(Result.name, Result.payload).where(Result.run_id == run_id)
        with self.reading() as session:
            return {row.name: row.payload for row in session.execute(query)}

    # --------------------------------------------------------------------------- asking for it
    def create(self, spec: RunSpec, *, submitter: str | None = None) -> RunView:
        """Record a queued run; it starts when a worker claims it."""
        stored, now = spec.to_dict(), time.time()
        with self.transaction() as session:
            count = session.scalar(select(func.count()).where(Run.kind == spec.kind)) or 0
            run = Run(
                id=uuid.uuid4().hex[:12],
                name=spec.name.strip() or f"{spec.kind.replace('_', ' ')} {count + 1}",
                kind=spec.kind,
                status="queued",
                created=now,
                queued=now,
                spec=stored,
                parent=spec.parent,
                owner=spec.owner or None,
                submitter=submitter,
            )
            session.add(run)
            session.flush()
            return view(run)

    def request_cancel(self, run_id: str) -> RunView:
        """Ask a run to end for good; one that no worker holds ends at once."""
        now = time.time()
        with self._changing(run_id) as session:
            held = Run.id == run_id, Run.claim.is_not(None)
            free = Run.id == run_id, Run.claim.is_(None)
            _set(session, *held, Run.status.in_(("running", "paused")), status="cancelling",
                 request="cancel")  # fmt: skip
            _set(session, *free, Run.status.in_(("queued", "paused", "interrupted")),
                 status="cancelled", ended=now, message="")  # fmt: skip
        return self.get(run_id)

    def request_pause(self, run_id: str) -> RunView:
        """Ask a run to hold still; one that waits in the queue leaves it."""
        with self._changing(run_id) as session:
            _set(session, Run.id == run_id, Run.status == "running", request="pause")
            _set(session, Run.id == run_id, Run.status == "queued", status="paused", message="")
        return self.get(run_id)

    def request_stop(self, run_id: str) -> None:
        """Ask a run to end as interrupted, because the app closes."""
        with self._changing(run_id) as session:
            _set(session, Run.id == run_id, Run.status.in_(("running", "paused")), request="stop")

    def request_resume(self, run_id: str, *, submitter: str | None = None) -> bool:
        """Let a run go on; True when it was queued anew and has to be submitted.

        False when its worker holds it still in memory and goes on by itself, or when it is under
        way already: of two processes that resume the same run, one gets True.

        Raises:
            InvalidValueError: it is done.
        """
        with self._changing(run_id) as session:
            _set(session, Run.id == run_id, Run.claim.is_not(None), Run.request == "pause",
                 request=None)  # fmt: skip
            again = _set(session, Run.id == run_id, Run.claim.is_(None), Run.status.in_(RESUMABLE),
                         status="queued", queued=time.time(), ended=None, error=None, trace=None,
                         request=None, message="", submitter=submitter)  # fmt: skip
            status = session.scalar(select(Run.status).where(Run.id == run_id))
        if status == "done":
            raise InvalidValueError(
                f"Only a run that is not finished can be resumed; run '{run_id}' is done. "
                "Start a new run from its weights."
            )
        return again > 0

    def rename(self, run_id: str, name: str) -> RunView:
        """Give a run another name."""
        if not name.strip():
            raise InvalidValueError(f"A run's name must not be empty; got '{name}'. Type a name.")
        with self._changing(run_id) as session:
            _set(session, Run.id == run_id, name=name.strip())
        return self.get(run_id)

    def delete(self, run_id: str) -> None:
        """Remove a run with its metrics, results and files; a worker that has it stops."""
        with self._changing(run_id) as session:
            session.execute(delete(Run).where(Run.id == run_id))
        shutil.rmtree(self.directory(run_id), ignore_errors=True)

    # ------------------------------------------------------------------------------- tidying up
    def mark_interrupted(self, stale: float = STALE_SECONDS) -> tuple[RunView, ...]:
        """Mark the runs whose worker is gone, and return them.

        A worker is gone when its process has died on this host, or, where that cannot be told
        (another host), when its last heartbeat is more than `stale` seconds old.
        """
        now = time.time()
        query = select(Run).where(Run.claim.is_not(None))
        with self.reading() as session:
            gone = [
                (run.id, run.claim)
                for run in session.scalars(query)
                if is_gone(run.host, run.pid, run.process, run.heartbeat, now - stale)
            ]
        return tuple(
            self.get(run_id) for run_id, claim in gone if self._release(run_id, claim, now)
        )

    def adopt(self, submitter: str) -> tuple[RunView, ...]:
        """Take over the queued runs whose app is gone, and return them in queue order."""
        adopted: tuple[RunView, ...] = ()
        for run in self.queue():
            with self.transaction() as session:
                other = session.scalar(select(Run.submitter).where(Run.id == run.id))
                if other is not None and _app_lives(other):
                    continue
                taken = _set(session, Run.id == run.id, Run.status == "queued",
                             Run.submitter.is_not_distinct_from(other),
                             submitter=submitter)  # fmt: skip
            adopted += (run,) if taken else ()
        return adopted

    def disown(self, submitter: str) -> None:
        """Leave the queued runs of this app to whoever comes next."""
        with self.transaction() as session:
            _set(session, Run.submitter == submitter, Run.status == "queued", submitter=None)

    def fail(self, run_id: str, error: str) -> None:
        """Record that a run could not be started, or that its worker could not record its end."""
        free: dict[str, Any] = {"claim": None, "pid": None, "request": None}
        with self.transaction() as session:
            _set(session, Run.id == run_id, Run.status.in_(ACTIVE), status="failed", error=error,
                 ended=time.time(), **free)  # fmt: skip

    def _release(self, run_id: str, claim: str | None, now: float) -> bool:
        mine = Run.id == run_id, Run.claim == claim
        free: dict[str, Any] = {"claim": None, "pid": None, "request": None, "ended": now}
        with self.transaction() as session:
            return any(
                (
                    _set(session, *mine, Run.status == "running", status="interrupted",
                         error=LOST, **free),
                    _set(session, *mine, Run.status == "cancelling", status="cancelled",
                         message="", **free),
                    _set(session, *mine, Run.status == "paused", **{**free, "ended": None}),
                )
            )  # fmt: skip

    # --------------------------------------------------------------------------------- sessions
    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one moment of the records and changes nothing."""
        with storage_errors(self.path), Session(self._engine) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together at the end."""
        kept = Session(self._writer, expire_on_commit=False)
        with storage_errors(self.path), kept as session, session.begin():
            yield session

    @contextmanager
    def _changing(self, run_id: str) -> Iterator[Session]:
        self.get(run_id)
        with self.transaction() as session:
            yield session


def view(run: Run) -> RunView:
    """Return the frozen view of a row."""
    names = {item.name for item in dataclasses.fields(RunView)} - {"spec"}
    return RunView(**{n: getattr(run, n) for n in names}, spec=RunSpec.from_dict(run.spec))


def _set(session: Session, *where: Any, **values: Any) -> int:
    result = session.execute(
        update(Run).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    return result.rowcount if isinstance(result, CursorResult) else 0


def _app_lives(submitter: str) -> bool:
    where, pid, process, _ = (*submitter.split("|"), "", "", "", "")[:4]
    return where == host() and pid.isdigit() and is_alive(int(pid), process or None) is not False

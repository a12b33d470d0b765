"""The records of background runs, as the app and a notebook see them: read, ask for, tidy up.

Workers write through `pruneviz.jobs.leases`. Every change of status is one conditional UPDATE, so
any number of processes may share one home.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from pruneviz.errors import (
    InvalidValueError,
    StorageError,
    StorageFullError,
    StorageGoneError,
    UnknownNameError,
)
from pruneviz.jobs.home import disk_errors, release
from pruneviz.jobs.json_column import Unreadable
from pruneviz.jobs.rows import metric, view
from pruneviz.jobs.schema import (
    GONE,
    Metric,
    Result,
    Run,
    open_database,
    stamp_of,
    storage_errors,
    writing,
)
from pruneviz.jobs.views import RESUMABLE, MetricView, RunSpec, RunView

T = TypeVar("T")


class RunStore:
    """The runs kept in `home`: one database, and one folder a run for what is large."""

    def __init__(self, home: str | Path, *, create: bool = True) -> None:
        self.home = Path(home)
        self.path = self.home / "pruneviz.db"
        self._engine = open_database(self.path, create=create)
        self._writer = writing(self._engine)
        self._mark = _mark(self.path)
        with self.reading() as session:
            self._stamp = stamp_of(session.connection())

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
        self,
        *,
        owner: str | None = None,
        parent: str | None = None,
        status: str | None = None,
        held: bool = False,
    ) -> tuple[RunView, ...]:
        """Return the runs, newest first: of one owner, study, or status; `held` by a worker."""
        query = select(Run).order_by(Run.created.desc(), Run.id)
        for column, wanted in ((Run.owner, owner), (Run.parent, parent), (Run.status, status)):
            if wanted is not None:
                query = query.where(column == wanted)
        if held:
            query = query.where(Run.claim.is_not(None))
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
        with self.reading() as session:
            return tuple(metric(row) for row in session.scalars(query.order_by(Metric.id)))

    def results(self, run_id: str) -> dict[str, Any]:
        """Return what the run has found so far: name to JSON payload."""
        query = select(Result.name, Result.payload).where(Result.run_id == run_id)
        with self.reading() as session:
            found = {row.name: row.payload for row in session.execute(query)}
        return {name: value for name, value in found.items() if not isinstance(value, Unreadable)}

    # --------------------------------------------------------------------------- asking for it
    def create(self, spec: RunSpec, *, submitter: str | None = None) -> RunView:
        """Record a queued run; it starts when a worker claims it.

        A name that another run has gets a number.
        """
        stored, now = spec.to_dict(), time.time()
        with self.transaction() as session:
            count = session.scalar(select(func.count()).where(Run.kind == spec.kind)) or 0
            wanted = spec.name.strip() or f"{spec.kind.replace('_', ' ')} {count + 1}"
            run = Run(
                id=uuid.uuid4().hex[:12],
                name=_free_name(session, wanted),
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
        held = Run.id == run_id, Run.claim.is_not(None), Run.status == "running"
        waiting = ("queued", "interrupted")
        free = Run.id == run_id, Run.claim.is_(None), Run.status.in_(waiting)

        def give(session: Session) -> None:
            change(session, *held, status="cancelling", request="cancel")
            change(session, *free, status="cancelled", ended=now, message="")

        self._order(run_id, give)
        return self.get(run_id)

    def request_stop(self, run_id: str) -> None:
        """Ask a run to end as interrupted, because the app closes."""
        under_way = Run.id == run_id, Run.status == "running"
        self._order(run_id, lambda session: change(session, *under_way, request="stop"))

    def request_resume(self, run_id: str, *, submitter: str | None = None) -> bool:
        """Let a run go on; True when it was queued anew and has to be submitted.

        False when it is under way already: of two processes that resume the same run, one gets
        True.

        Raises:
            InvalidValueError: it is done.
        """
        free = Run.id == run_id, Run.claim.is_(None), Run.status.in_(RESUMABLE)
        anew: dict[str, Any] = dict.fromkeys(("ended", "error", "trace", "request"))
        anew.update(status="queued", queued=time.time(), message="", submitter=submitter)

        def give(session: Session) -> tuple[int, str | None]:
            again = change(session, *free, **anew)
            return again, session.scalar(select(Run.status).where(Run.id == run_id))

        again, status = self._order(run_id, give)
        if status == "done":
            raise InvalidValueError(
                f"Only a run that is not finished can be resumed; run '{run_id}' is done. "
                "Start a new run from its weights."
            )
        return again > 0

    def rename(self, run_id: str, name: str) -> RunView:
        """Give a run another name, with a number where another run has it."""
        if not name.strip():
            raise InvalidValueError(f"A run's name must not be empty; got '{name}'. Type a name.")

        def give(session: Session) -> int:
            free = _free_name(session, name.strip(), but=run_id)
            return change(session, Run.id == run_id, name=free)

        self._order(run_id, give)
        return self.get(run_id)

    def delete(self, run_id: str) -> None:
        """Remove a run with its metrics, results and files; a worker that has it stops."""
        self._order(run_id, lambda session: session.execute(delete(Run).where(Run.id == run_id)))
        shutil.rmtree(self.directory(run_id), ignore_errors=True)

    # --------------------------------------------------------------------------------- sessions
    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one moment of the records and changes nothing."""
        with storage_errors(self.path), Session(self._engine) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together at the end.

        Raises:
            StorageFullError, StorageBusyError, StorageGoneError: not now; later, perhaps.
        """
        self.check_there()
        kept = Session(self._writer, expire_on_commit=False)
        with storage_errors(self.path), kept as session, session.begin():
            yield session

    def _order(self, run_id: str, give: Callable[[Session], T]) -> T:
        """Have `give` write what a person asked for; on a full disk with the reserve."""
        self.get(run_id)
        try:
            with self.transaction() as session:
                return give(session)
        except StorageFullError:
            release(self.home)
            with self.transaction() as session:
                return give(session)

    # -------------------------------------------------------------------------- being still there
    def check_there(self) -> None:
        """See whether the file at the path is still the one that was opened, or a copy of it.

        Raises:
            StorageGoneError: it is not.
        """
        if self._mark == (mark := _mark(self.path)):
            return
        if mark is not None:
            with contextlib.suppress(StorageError):
                engine = open_database(self.path, create=False)
                with engine.connect() as connection:
                    same = stamp_of(connection) == self._stamp
                if same:
                    former, self._engine, self._mark = self._engine, engine, mark
                    self._writer = writing(engine)
                    former.dispose()
                    return
                engine.dispose()
        raise StorageGoneError(GONE.format(home=self.home))

    def rescue(self) -> None:
        """Write the records anew where they were deleted, from the file that is still open.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """
        if self.path.exists():
            self.check_there()
            return
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        with disk_errors(self.path), storage_errors(self.path):
            self.home.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(draft)) as copy, self._engine.connect() as now:
                opened = now.connection.driver_connection
                assert isinstance(opened, sqlite3.Connection)
                opened.backup(copy)
            draft.replace(self.path)
        self.check_there()


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of that name; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _free_name(session: Session, wanted: str, but: str = "") -> str:
    """Return the name, or with the first number under which no other run goes."""
    taken = set(session.scalars(select(Run.name).where(Run.id != but)))
    numbered = (f"{wanted} ({number})" for number in itertools.count(2))
    return next(name for name in itertools.chain([wanted], numbered) if name not in taken)


def change(session: Session, *where: Any, **values: Any) -> int:
    """Write columns of the runs that are as `where` says; return how many there were."""
    result = session.execute(
        update(Run).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    return result.rowcount if isinstance(result, CursorResult) else 0

"""The records of background runs, as the app and a notebook see them: read, ask for, tidy up.

Workers write through `pruneviz.jobs.leases`. Every change of status is one conditional UPDATE, so
any number of processes may share one home, and any number of machines one PostgreSQL database.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.engine import Result as Result_
from sqlalchemy.orm import Session

from pruneviz.errors import InvalidValueError, StorageFullError, UnknownNameError
from pruneviz.jobs.columns import Unreadable
from pruneviz.jobs.database import Database
from pruneviz.jobs.home import release
from pruneviz.jobs.listing import Choices, Which
from pruneviz.jobs.migrations import listed_by
from pruneviz.jobs.mirror import Kept
from pruneviz.jobs.open_database import open_database
from pruneviz.jobs.planned import is_open
from pruneviz.jobs.rows import metric, view
from pruneviz.jobs.run_files import RunFiles
from pruneviz.jobs.schema import Metric, Result, Run
from pruneviz.jobs.views import RESUMABLE, MetricView, RunSpec, RunView, work_of

T = TypeVar("T")
ALL = Which()
SUGGESTED = 100  # of the newest runs, where one of an unknown id is asked for


class RunStore:
    """The runs kept in `home`: one database, and one folder per run for large data.

    `database` is the address of a PostgreSQL database that holds the records instead of a file
    there, `artifacts` that of a store for the files of runs.
    """

    def __init__(
        self,
        home: str | Path,
        database: str | None = None,
        artifacts: str | None = None,
        *,
        create: bool = True,
    ) -> None:
        self.home = Path(home)
        self.database: Database = open_database(self.home, database, create=create)
        self.files = RunFiles(self.home, self.database, artifacts)

    def close(self) -> None:
        """Close the connections; the store cannot be used afterwards."""
        self.database.close()

    def directory(self, run_id: str) -> Path:
        """Return the folder of a run: checkpoints, weights, arrays."""
        return self.files.own(run_id)

    # ------------------------------------------------------------------------------- reading
    def get(self, run_id: str) -> RunView:
        """Return a run.

        Raises:
            UnknownNameError: no run has that id (it may have been deleted).
        """
        with self.reading() as session:
            run = session.get(Run, run_id)
            if run is None:
                newest = select(Run.id).order_by(Run.created.desc()).limit(SUGGESTED)
                raise UnknownNameError("run", run_id, session.scalars(newest))
            return view(run)

    def list(
        self, which: Which = ALL, *, limit: int | None = None, offset: int = 0
    ) -> tuple[RunView, ...]:
        """Return the runs, newest first; `limit` of them, from the one numbered `offset` on."""
        query = select(Run).where(*which.conditions()).order_by(Run.created.desc(), Run.id)
        with self.reading() as session:
            rows = session.scalars(query.limit(limit).offset(offset or None))
            return tuple(view(run) for run in rows)

    def count(self, which: Which = ALL) -> int:
        """Return how many runs there are."""
        query = select(func.count()).select_from(Run).where(*which.conditions())
        with self.reading() as session:
            return session.scalar(query) or 0

    def statuses(self) -> dict[str, int]:
        """Return how many runs there are of each status."""
        query = select(Run.status, func.count()).group_by(Run.status)
        with self.reading() as session:
            return {row[0]: int(row[1]) for row in session.execute(query)}

    def choices(self) -> Choices:
        """Return what the runs can be filtered by."""
        columns = (Run.network, Run.data, Run.strategy, Run.tag)
        with self.reading() as session:
            choices = [
                tuple(session.scalars(select(c).where(c.is_not(None)).distinct().order_by(c)))
                for c in columns
            ]
        return Choices(*(tuple(str(value) for value in values) for values in choices))

    def queue(self) -> tuple[RunView, ...]:
        """Return the queued runs, in the order in which they were queued."""
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
        """Return the run's results so far: name to JSON payload."""
        query = select(Result.name, Result.payload).where(Result.run_id == run_id)
        with self.reading() as session:
            payloads = {row.name: row.payload for row in session.execute(query)}
        return {
            name: value for name, value in payloads.items() if not isinstance(value, Unreadable)
        }

    # --------------------------------------------------------------------------- asking for it
    def create(
        self,
        spec: RunSpec,
        *,
        submitter: str | None = None,
        given: Mapping[str, Kept] | None = None,
    ) -> RunView:
        """Record a queued run; it starts when a worker claims it.

        If another run has the name, it gets a number. `given` are files in the store that it needs.
        """
        with self.transaction() as session:
            self.database.hold_names(session)
            return self._add(session, spec, submitter, given)

    def create_once(
        self,
        spec: RunSpec,
        *,
        planned: bool = False,
        submitter: str | None = None,
        given: Mapping[str, Kept] | None = None,
    ) -> RunView | None:
        """Record a queued run, unless its study has one that does the same; None: it has one.

        With `planned`, nor if its study is not open, or no longer.
        """
        work, siblings = spec.work, select(Run.spec).where(Run.parent == spec.parent)
        with self.transaction() as session:
            self.database.hold_names(session)  # whoever else would do so now waits here
            if planned and not is_open(session, spec.parent):
                return None
            others = [other for other in session.scalars(siblings) if isinstance(other, Mapping)]
            if work in map(work_of, others):
                return None
            return self._add(session, spec, submitter, given)

    def _add(
        self,
        session: Session,
        spec: RunSpec,
        submitter: str | None,
        given: Mapping[str, Kept] | None,
    ) -> RunView:
        stored, now = spec.to_dict(), time.time()
        wanted = spec.name.strip() or _next_name(session, spec.kind)
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
            tag=_tag(spec.tag),
            submitter=submitter,
            **listed_by(stored),
        )
        session.add(run)
        session.flush()
        if given:
            self.database.hold_artifacts(session)
            self.files.give(session, run.id, given)
        return view(run)

    def request_cancel(self, run_id: str) -> RunView:
        """Cancel a run for good; one that no worker holds ends at once."""
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
        """Let a run continue; True if it was queued again and has to be submitted.

        False if it is under way already: of two processes that resume the same run, one gets True.

        Raises:
            InvalidValueError: it is done.
        """
        free = Run.id == run_id, Run.claim.is_(None), Run.status.in_(RESUMABLE)
        queued: dict[str, Any] = dict.fromkeys(("ended", "error", "trace", "request"))
        queued.update(status="queued", queued=time.time(), message="", submitter=submitter)

        def give(session: Session) -> tuple[int, str | None]:
            again = change(session, *free, **queued)
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
            self.database.hold_names(session)
            free = _free_name(session, name.strip(), but=run_id)
            return change(session, Run.id == run_id, name=free)

        self._order(run_id, give)
        return self.get(run_id)

    def tag(self, run_id: str, tag: str) -> RunView:
        """Give a run a tag, or none where it is empty."""
        self._order(run_id, lambda session: change(session, Run.id == run_id, tag=_tag(tag)))
        return self.get(run_id)

    def delete(self, run_id: str) -> None:
        """Remove a run with its metrics, results and files; a worker that has it stops."""
        self._order(run_id, lambda session: session.execute(delete(Run).where(Run.id == run_id)))
        self.files.delete(run_id)

    # --------------------------------------------------------------------------------- sessions
    def reading(self) -> AbstractContextManager[Session]:
        """Yield a session that sees a snapshot of the records and changes nothing."""
        return self.database.reading()

    def transaction(self) -> AbstractContextManager[Session]:
        """Yield a session whose changes are committed together at the end.

        Raises:
            StorageFullError, StorageBusyError, StorageGoneError, StorageUnreachableError: not now;
                later, perhaps.
        """
        return self.database.transaction()

    def _order(self, run_id: str, give: Callable[[Session], T]) -> T:
        """Write what a person ordered with `give`; on a full disk, use the reserve."""
        self.get(run_id)
        try:
            return self._write(run_id, give)
        except StorageFullError:
            release(self.home)
            return self._write(run_id, give)

    def _write(self, run_id: str, give: Callable[[Session], T]) -> T:
        with self.transaction() as session:
            self.database.hold(session, run_id)
            return give(session)

    def check_there(self) -> None:
        """See whether these are still the records that were opened.

        Raises:
            StorageGoneError: they are not.
        """
        self.database.check_there()

    def rescue(self) -> None:
        """Restore deleted records from what is still open.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """
        self.database.rescue()


def _tag(text: str | None) -> str | None:
    return (text or "").strip() or None


def _next_name(session: Session, kind: str) -> str:
    count = session.scalar(select(func.count()).where(Run.kind == kind)) or 0
    return f"{kind.replace('_', ' ')} {count + 1}"


def _free_name(session: Session, wanted: str, but: str = "") -> str:
    """Return the name, with the first free number if another run has it."""
    if not session.scalar(select(Run.id).where(Run.id != but, Run.name == wanted).limit(1)):
        return wanted
    alike = or_(Run.name == wanted, Run.name.startswith(f"{wanted} (", autoescape=True))
    taken = set(session.scalars(select(Run.name).where(Run.id != but, alike)))
    numbered = (f"{wanted} ({number})" for number in itertools.count(2))
    return next(name for name in itertools.chain([wanted], numbered) if name not in taken)


def change(session: Session, *where: Any, **values: Any) -> int:
    """Write columns of the runs that match `where`; return how many there were."""
    result = session.execute(
        update(Run).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    return counted(result)


def counted(result: Result_[Any]) -> int:
    """Return how many rows a statement has changed."""
    return result.rowcount if isinstance(result, CursorResult) else 0

"""Studies whose later runs depend on what the earlier ones come to, as the records keep them.

The request says everything that decides which runs there are, so any studio can go on with it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from pruneviz.jobs.database import Database
from pruneviz.jobs.schema import Study

OPEN, DONE, CANCELLED = "open", "done", "cancelled"
FIELDS = ("id", "kind", "name", "request", "owner", "quota", "status", "error", "submitter")


@dataclass(frozen=True)
class Planned:
    """A study on record. `id` is the parent of its runs, `kind` names who plans it."""

    id: str
    kind: str
    name: str
    request: Mapping[str, Any]
    owner: str | None = None
    quota: Mapping[str, Any] | None = None
    """What is noted beside each of its runs (`pruneviz.jobs.quota`)."""
    status: str = OPEN
    error: str | None = None
    """Why no further runs can be submitted."""
    submitter: str | None = None
    """The app that submits its runs."""


def keep(database: Database, study: Planned) -> None:
    """Record a study as open, whatever was on record of it before."""
    values = {name: getattr(study, name) for name in FIELDS}
    with database.transaction() as session:
        database.hold_names(session)
        session.merge(Study(**values, created=time.time()))


def find(database: Database, study_id: str) -> Planned | None:
    """Return what is on record of a study; None: nothing."""
    with database.reading() as session:
        row = session.get(Study, study_id)
        return None if row is None else _view(row)


def all_open(database: Database) -> tuple[Planned, ...]:
    """Return the studies that have runs to submit, or may have, oldest first."""
    query = select(Study).where(Study.status == OPEN).order_by(Study.created, Study.id)
    with database.reading() as session:
        return tuple(_view(row) for row in session.scalars(query))


def set_status(database: Database, study_id: str, status: str) -> None:
    """Open a study again, or end it: once this returns, no further run of it is submitted."""
    with database.transaction() as session:
        database.hold_names(session)
        _change(session, Study.id == study_id, status=status, error=None)


def note_error(database: Database, study_id: str, error: str | None) -> None:
    """Note why no further runs can be submitted."""
    with database.transaction() as session:
        _change(session, Study.id == study_id, error=error)


def take(database: Database, study: Planned, submitter: str) -> bool:
    """Take over a study whose app is gone; False: another app was quicker."""
    mine = Study.id == study.id, Study.submitter.is_not_distinct_from(study.submitter)
    with database.transaction() as session:
        return _change(session, *mine, Study.status == OPEN, submitter=submitter) > 0


def disown(database: Database, submitter: str) -> None:
    """Leave the studies of this app to whoever comes next."""
    with database.transaction() as session:
        _change(session, Study.submitter == submitter, submitter=None)


def forget(database: Database, study_id: str) -> None:
    """Remove a study from the records; its runs stay."""
    with database.transaction() as session:
        session.execute(delete(Study).where(Study.id == study_id))


def is_open(session: Session, study_id: str | None) -> bool:
    """Tell whether a study may have further runs; to be asked while names are held."""
    return session.scalar(select(Study.status).where(Study.id == study_id)) == OPEN


def _change(session: Session, *where: Any, **values: Any) -> int:
    result = session.execute(update(Study).where(*where).values(**values))
    return result.rowcount if isinstance(result, CursorResult) else 0


def _view(row: Study) -> Planned:
    return Planned(**{name: getattr(row, name) for name in FIELDS})

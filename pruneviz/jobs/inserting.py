"""Inserting rows that another process may be inserting at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from pruneviz.jobs.schema import Base

Insert = sqlite.Insert | postgresql.Insert


def insert_into(session: Session, table: type[Base]) -> Insert:
    """Return an INSERT that can say ON CONFLICT, which SQLite and PostgreSQL spell alike."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)

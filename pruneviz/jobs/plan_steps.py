"""The steps to plans in the records, so that an address leads to a plan in every studio."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal, select

from pruneviz.jobs.database import Database
from pruneviz.jobs.inserting import insert_into
from pruneviz.jobs.schema import PlanStep

LONGEST = 100_000
"""Steps of one history; rows that somebody forged may go round in circles."""


@dataclass(frozen=True)
class Row:
    """One step as the records keep it."""

    id: str
    parent: str | None
    content: Mapping[str, Any]


def keep(database: Database, rows: Sequence[Row]) -> None:
    """Write the steps that are not there yet, all or none.

    Raises:
        StorageError: the records cannot be written.
    """
    with database.reading() as session:
        asked = select(PlanStep.id).where(PlanStep.id.in_([row.id for row in rows]))
        known = set(session.scalars(asked))
    now = time.time()
    new = [
        {"id": row.id, "parent": row.parent, "content": row.content, "taken": now}
        for row in rows
        if row.id not in known
    ]
    if new:
        with database.transaction() as session:  # visitors may take the same step at once
            session.execute(insert_into(session, PlanStep).on_conflict_do_nothing(), new)


def has(database: Database, step: str) -> bool:
    """Return whether the step of that id is there, and so all that lead to it.

    Raises:
        StorageError: the records cannot be read.
    """
    with database.reading() as session:
        return session.scalar(select(PlanStep.id).where(PlanStep.id == step)) is not None


def line_to(database: Database, step: str) -> list[Row]:
    """Return the steps from the beginning to the one of that id; empty if it is not there.

    Raises:
        StorageError: the records cannot be read.
    """
    columns = PlanStep.id, PlanStep.parent, PlanStep.content
    line = select(*columns, literal(0).label("back")).where(PlanStep.id == step)
    above = line.cte("above", recursive=True)
    parents = select(*columns, above.c.back + 1).where(
        PlanStep.id == above.c.parent, above.c.back < LONGEST
    )
    above = above.union_all(parents)
    query = select(above.c.id, above.c.parent, above.c.content).order_by(above.c.back.desc())
    with database.reading() as session:
        return [Row(*row) for row in session.execute(query)]

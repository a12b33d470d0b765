"""Steps in the records: an address finds them after a reload, a restart, in another studio."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path

from pruneviz.errors import StorageError
from pruneviz.jobs import plan_steps
from pruneviz.jobs.database import Database
from pruneviz.jobs.patience import PASSING
from pruneviz.jobs.plan_steps import Row
from pruneviz.session.history import History, Step

BATCH = 500
REST = 3.0  # seconds in which the records are not asked again after they did not answer


class StepStore:
    """Keeps the steps that lead to plans. Used from several threads.

    `former` is the folder in which an older PruneViz kept them as files; what is there is moved.

    Raises:
        StorageError: the records do not answer.
    """

    def __init__(self, database: Database, former: Path | None = None) -> None:
        self._database = database
        self._trouble: StorageError | None = None
        self._rest_until = 0.0
        if former is not None and former.is_dir():
            _move(former, database)

    def save(self, history: History) -> None:
        """Write the steps that lead to the one that holds; those that are there stay untouched."""
        if self._trouble is not None and time.monotonic() < self._rest_until:
            raise self._trouble  # a moved slider does not wait each time
        last = history.step
        try:
            known = last.parent is not None and plan_steps.has(self._database, last.parent)
            new = [last] if known else history.line()
            plan_steps.keep(self._database, [_row(step) for step in new])
        except PASSING as error:
            self._trouble, self._rest_until = error, time.monotonic() + REST
            raise
        self._trouble = None

    def load(self, digest: str) -> History | None:
        """Return the history that ends in the step of that name; None if it is not kept here."""
        try:
            rows = plan_steps.line_to(self._database, digest)
            steps = [Step.from_dict(row.content) for row in rows]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if not steps or steps[0].parent is not None:
            return None
        forward = {a.digest: b.digest for a, b in pairwise(steps)}
        return History({step.digest: step for step in steps}, steps[-1].digest, forward)


def _row(step: Step) -> Row:
    content = json.loads(json.dumps(step.to_dict(), default=str))
    return Row(step.digest, step.parent, content)


def _move(folder: Path, database: Database) -> None:
    """Move steps from files into the records; what cannot be read is left where it is."""
    rows: dict[Path, Row] = {}
    for path in folder.glob("*.json"):
        try:
            content = json.loads(path.read_bytes())
            rows[path] = Row(path.stem, content["parent"], content)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    steps = list(rows.values())
    for begin in range(0, len(steps), BATCH):
        plan_steps.keep(database, steps[begin : begin + BATCH])
    for path in rows:
        path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()

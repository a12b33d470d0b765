"""The worker's side of the records: claim a queued run, keep its heart beating, end it.

A claim is a random token in the run's row. Every write names it, so a worker given up for dead (or
whose run was deleted) finds that its writes change nothing, and stops.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from pruneviz.jobs.alive import host, identity
from pruneviz.jobs.records import RunStore, change, counted
from pruneviz.jobs.rows import view
from pruneviz.jobs.schema import Metric, Result, Run
from pruneviz.jobs.views import RunView

LOST = "lost"


@dataclass(frozen=True)
class Lease:
    """One worker's right to write one run."""

    store: RunStore
    run: RunView
    token: str

    def order(self) -> str | None:
        """Return what was ordered: None, "cancel" or "stop"; "lost": the run is no longer ours."""
        with self.store.reading() as session:
            return self._request(session)

    def update(self, **values: Any) -> bool:
        """Write columns of the run; False when it is no longer ours."""
        with self.store.transaction() as session:
            return self._update(session, values)

    def beat(self, rows: Sequence[Mapping[str, Any]], **values: Any) -> tuple[bool, int]:
        """Write heartbeat, columns and history in one transaction.

        Returns whether the run is still ours, and the id of the last row written (0: none).
        """
        last = 0
        with self.store.transaction() as session:
            if not self._update(session, {"heartbeat": time.time(), **values}):
                return False, 0
            if rows:
                session.execute(insert(Metric), [{**row, "run_id": self.run.id} for row in rows])
                query = select(Metric.id).where(Metric.run_id == self.run.id)
                last = session.scalar(query.order_by(Metric.id.desc()).limit(1)) or 0
        return True, last

    def keep(self, name: str, payload: Any) -> None:
        """Store a named part of the result, replacing an earlier one of that name."""
        with self.store.transaction() as session:
            if self._update(session, {"heartbeat": time.time()}):
                values = {"payload": payload, "updated": time.time()}
                mine = Result.run_id == self.run.id, Result.name == name
                updated = session.execute(update(Result).where(*mine).values(**values))
                if not counted(updated):  # nobody else inserts it: this transaction holds the run
                    session.add(Result(run_id=self.run.id, name=name, **values))

    def renew(self, session: Session) -> bool:
        """Hold the run in a transaction; False when it is no longer ours."""
        return self._update(session, {"heartbeat": time.time()})

    def forget_after(self, metric_id: int) -> None:
        """Delete the history above `metric_id`: the work after the checkpoint is done again."""
        with self.store.transaction() as session:
            session.execute(
                delete(Metric).where(Metric.run_id == self.run.id, Metric.id > metric_id)
            )

    def finish(self, status: str, **values: Any) -> bool:
        """End the run with `status` and give up the claim; False when it is no longer ours."""
        free: dict[str, Any] = {"claim": None, "pid": None, "process": None, "request": None}
        free["ended"] = time.time()
        return self.update(status=status, **{**free, **values})

    def _request(self, session: Session) -> str | None:
        mine = Run.id == self.run.id, Run.claim == self.token
        row = session.execute(select(Run.request).where(*mine)).one_or_none()
        return LOST if row is None else row[0]

    def _update(self, session: Session, values: Mapping[str, Any]) -> bool:
        return change(session, Run.id == self.run.id, Run.claim == self.token, **values) > 0


def claim(
    store: RunStore, run_id: str, *, threads: int | None = None, ticket: str = ""
) -> Lease | None:
    """Take a queued run for this process; None when it is not queued (any more).

    A run that another worker holds is taken over if that worker had the same `ticket`: a scheduler
    gives an order to a second worker only when the first is gone. If the first lives after all, it
    finds that the run is no longer its own.

    `threads` is kept from the first attempt on: sums over a different number of threads round
    differently, and a resumed run must end with the same weights.
    """
    token, now, pid = f"{ticket}:{uuid.uuid4().hex}", time.time(), os.getpid()
    with store.transaction() as session:
        run = session.get(Run, run_id, with_for_update=True)
        if run is None:
            return None
        again = bool(ticket) and (run.claim or "").startswith(f"{ticket}:")
        if again and run.status == "cancelling":
            run.status, run.request, run.claim, run.pid = "cancelled", None, None, None
            run.ended = now
            return None
        if not again and (run.status != "queued" or run.claim is not None):
            return None
        run.status, run.request, run.claim = "running", None, token
        run.host, run.pid, run.process = host(), pid, identity(pid)
        run.started, run.ended, run.heartbeat = run.started or now, None, now
        run.attempts += 1
        run.threads = run.threads or threads
        session.flush()
        return Lease(store, view(run), token)

"""What a crash leaves behind: runs whose worker is gone, queues whose app is gone.

Every change is looked for by reading first: with nothing to mend, nobody waits for the write lock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from pruneviz.jobs.alive import host, is_alive, is_gone
from pruneviz.jobs.records import RunStore, change
from pruneviz.jobs.schema import Run
from pruneviz.jobs.views import ACTIVE, RunView

STALE_SECONDS = 60.0
LOST = (
    "The worker process ended unexpectedly (killed, or out of memory). Resume the run to go on "
    "from its last checkpoint."
)
FREE: dict[str, Any] = {"claim": None, "pid": None, "request": None}


def mark_interrupted(
    store: RunStore,
    stale: float = STALE_SECONDS,
    *,
    why: str = LOST,
    known: Mapping[str, str] = MappingProxyType({}),
) -> tuple[RunView, ...]:
    """Mark the runs whose worker is gone, and return them.

    A worker is gone when its process has died on this host, or, where that cannot be told (another
    host), when its last heartbeat is more than `stale` seconds old. `why` is what the runs say of
    it, but for those (by id) of which more is `known`.
    """
    now = time.time()
    columns = (Run.id, Run.claim, Run.host, Run.pid, Run.process, Run.heartbeat)
    with store.reading() as session:
        held = session.execute(select(*columns).where(Run.claim.is_not(None))).all()
    gone = [
        (run_id, claim)
        for run_id, claim, where, pid, process, heartbeat in held
        if is_gone(where, pid, process, heartbeat, now - stale)
    ]
    return tuple(
        store.get(run_id)
        for run_id, claim in gone
        if release_run(store, run_id, claim, known.get(run_id, why))
    )


def release_run(store: RunStore, run_id: str, claim: str | None, why: str) -> bool:
    """End what a worker held that is no more: interrupted, or cancelled, as was asked."""
    mine, now = (Run.id == run_id, Run.claim == claim), time.time()
    ended = {**FREE, "ended": now}
    with store.transaction() as session:
        return any(
            (
                change(session, *mine, Run.status == "running", status="interrupted", error=why,
                       **ended),
                change(session, *mine, Run.status == "cancelling", status="cancelled", message="",
                       **ended),
            )
        )  # fmt: skip


def adopt(store: RunStore, submitter: str) -> tuple[RunView, ...]:
    """Take over the queued runs whose app is gone, and return them in queue order."""
    query = select(Run.id, Run.submitter).where(Run.status == "queued")
    with store.reading() as session:
        waiting = session.execute(query.order_by(Run.queued, Run.id)).all()
    lives = {other: other is not None and _app_lives(other) for _, other in waiting}
    orphans = [(run_id, other) for run_id, other in waiting if not lives[other]]
    return tuple(store.get(i) for i, other in orphans if _take(store, i, other, submitter))


def _take(store: RunStore, run_id: str, other: str | None, submitter: str) -> bool:
    mine = Run.id == run_id, Run.status == "queued", Run.submitter.is_not_distinct_from(other)
    with store.transaction() as session:
        return change(session, *mine, submitter=submitter) > 0


def disown(store: RunStore, submitter: str) -> None:
    """Leave the queued runs of this app to whoever comes next."""
    mine = Run.submitter == submitter, Run.status == "queued"
    with store.transaction() as session:
        change(session, *mine, submitter=None)


def fail(store: RunStore, run_id: str, error: str) -> None:
    """Record that a run could not be started, or that its worker could not record its end."""
    with store.transaction() as session:
        change(session, Run.id == run_id, Run.status.in_(ACTIVE), status="failed", error=error,
               ended=time.time(), **FREE)  # fmt: skip


def touch(store: RunStore, run_id: str) -> None:
    """Write something that changes nothing, to see whether the records can be written.

    Raises:
        StorageError: they cannot.
    """
    with store.transaction() as session:
        change(session, Run.id == run_id, attempts=Run.attempts)


def _app_lives(submitter: str) -> bool:
    where, pid, process, _ = (*submitter.split("|"), "", "", "", "")[:4]
    return where == host() and pid.isdigit() and is_alive(int(pid), process or None) is not False

"""What a crash leaves behind: runs whose worker is gone, queues whose app is gone.

Every change begins by reading: with nothing to put right, nobody waits for the write lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import delete, select

from pruneviz import logs
from pruneviz.jobs.alive import host, is_alive, is_gone
from pruneviz.jobs.records import RunStore, change
from pruneviz.jobs.schema import App, Run
from pruneviz.jobs.views import ACTIVE, RunView

STALE_SECONDS = 60.0
LOST = (
    "The worker process ended unexpectedly (killed, or out of memory). Resume the run to continue "
    "from its last checkpoint."
)
AGAIN = "Waiting for another worker; the last one is gone"
FORGOTTEN = 7 * 86400.0  # seconds after which an app's last sign is deleted
FREE: dict[str, Any] = {"claim": None, "pid": None, "request": None}


class Held(NamedTuple):
    """What a worker holds, and where it is."""

    id: str
    claim: str
    host: str | None
    pid: int | None
    process: str | None
    heartbeat: float | None
    checkpoints: int


def mark_interrupted(
    store: RunStore,
    stale: float = STALE_SECONDS,
    *,
    why: str = LOST,
    known: Mapping[str, str] = MappingProxyType({}),
) -> tuple[RunView, ...]:
    """Mark the runs whose worker is gone, and return them.

    A worker is gone when its process has died on this host, or, where that cannot be told (another
    host), when its last heartbeat is more than `stale` seconds old. `why` is the reason that the
    runs give, unless a better one is `known` (by id).
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
    marked = tuple(
        store.get(run_id)
        for run_id, claim in gone
        if release_run(store, run_id, claim, known.get(run_id, why))
    )
    for run in marked:
        logs.event("run interrupted", run=run.id, owner=run.owner, level=logging.WARNING)
    return marked


def requeue(store: RunStore, run_id: str, claim: str | None, submitter: str) -> bool:
    """Put the run of a worker that is gone back into the queue; True if it waits there now.

    If it was to be cancelled, it is.
    """
    mine, now = (Run.id == run_id, Run.claim == claim), time.time()
    with store.transaction() as session:
        change(session, *mine, Run.status == "cancelling", status="cancelled", message="",
               **{**FREE, "ended": now})  # fmt: skip
        return change(session, *mine, Run.status == "running", status="queued", message=AGAIN,
                      submitter=submitter, queued=now, **FREE) > 0  # fmt: skip


def held(store: RunStore) -> tuple[Held, ...]:
    """Return what workers hold."""
    columns = (Run.id, Run.claim, Run.host, Run.pid, Run.process, Run.heartbeat, Run.checkpoints)
    with store.reading() as session:
        rows = session.execute(select(*columns).where(Run.claim.is_not(None))).all()
    return tuple(Held(row[0], str(row[1]), *row[2:]) for row in rows)


def sign(store: RunStore, submitter: str) -> None:
    """Tell the other apps of a shared database that this one is running."""
    now = time.time()
    with store.transaction() as session:
        session.merge(App(id=submitter, seen=now))
        session.execute(delete(App).where(App.seen < now - FORGOTTEN))


def signs(store: RunStore) -> dict[str, float]:
    """Return when each app of a shared database last gave a sign of life, by its own clock."""
    with store.reading() as session:
        return {row.id: row.seen for row in session.execute(select(App.id, App.seen))}


def release_run(store: RunStore, run_id: str, claim: str | None, why: str) -> bool:
    """End the run of a worker that is gone: as interrupted, or cancelled if that was ordered."""
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


def adopt(
    store: RunStore, submitter: str, lives_elsewhere: Callable[[str], bool] = lambda _: False
) -> tuple[RunView, ...]:
    """Take over the queued runs whose app is gone, and return them in queue order.

    `lives_elsewhere` tells whether an app on another machine is running.
    """
    query = select(Run.id, Run.submitter).where(Run.status == "queued")
    with store.reading() as session:
        queued = session.execute(query.order_by(Run.queued, Run.id)).all()
    alive = {
        other: other is not None and lives(other, lives_elsewhere)
        for other in {other for _, other in queued}
    }
    orphans = [(run_id, other) for run_id, other in queued if not alive[other]]
    return tuple(store.get(i) for i, other in orphans if _take(store, i, other, submitter))


def lives(submitter: str, lives_elsewhere: Callable[[str], bool]) -> bool:
    """Tell whether an app is running, on this machine or on another."""
    return _app_lives(submitter) if _is_here(submitter) else lives_elsewhere(submitter)


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
    _, pid, process, _ = (*submitter.split("|"), "", "", "", "")[:4]
    return pid.isdigit() and is_alive(int(pid), process or None) is not False


def _is_here(submitter: str) -> bool:
    return submitter.partition("|")[0] == host()

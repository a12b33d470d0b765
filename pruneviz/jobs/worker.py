"""One run in a worker process: claim it, do it, and record how it went."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pruneviz import bars, logs
from pruneviz.errors import InvalidValueError, PruneVizError, UnknownNameError
from pruneviz.jobs import orders
from pruneviz.jobs.context import Interruption, JobContext
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.home import check_space
from pruneviz.jobs.leases import LOST, Lease, claim
from pruneviz.jobs.patience import patiently
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.registry import Kind, find_kind
from pruneviz.jobs.rows import UNREADABLE
from pruneviz.machine import cores

NICENESS = 5
CLOSED = "Stopped with the server. Resume the run to continue from its last checkpoint."
BUSY = threading.Lock()  # held by the one run that this process does


def run_job(
    home: str,
    run_id: str,
    plugins: Sequence[str] = (),
    threads: int | None = None,
    database: str | None = None,
    artifacts: str | None = None,
) -> str:
    """Do a queued run and return the status it ended with; what a worker process executes.

    Does nothing, and returns the run's status, if it is not (or no longer) queued: handing the same
    run to several workers is harmless. `threads` limits torch in a worker process; by default one
    core is left to the interface. `database` and `artifacts` are addresses as `RunStore` takes
    them. The status of a run that was deleted is "deleted".

    Raises:
        StorageError: the records cannot be read or written; a `StorageFullError` before the run
            was begun, where there is no room for its checkpoints.
    """
    with BUSY if multiprocessing.parent_process() else contextlib.nullcontext():
        orders.leave_if_told()
        try:
            check_space(Path(home))
            store = RunStore(home, database, artifacts, create=False)
            return do_run(store, run_id, plugins, threads)
        finally:
            orders.leave_soon_if_told()


def do_run(
    store: RunStore,
    run_id: str,
    plugins: Sequence[str],
    threads: int | None,
    *,
    ticket: str = "",
    limit: bool = False,
) -> str:
    """Do a queued run of these records and close them; the caller holds `BUSY`.

    `ticket` is as for `claim`; with `limit`, torch is limited even in a process that
    `multiprocessing` did not start.
    """
    limit = limit or multiprocessing.parent_process() is not None
    try:
        mine = claim(store, run_id, threads=threads or default_threads(), ticket=ticket)
        status = LOST if mine is None else _work(mine, plugins, limit)
        if status != LOST:
            return status
        try:  # taken by another, given up for dead, or deleted?
            return store.get(run_id).status
        except UnknownNameError:
            store.files.delete(run_id)
            return "deleted"
    finally:
        store.close()


def _work(mine: Lease, plugins: Sequence[str], limit: bool) -> str:
    """Do a claimed run; whatever happens is recorded."""
    pulse = Pulse(mine)
    error: BaseException | None = None
    status, message = "done", ""
    pulse.start()
    orders.follow(pulse)
    about: dict[str, Any] = {"run": mine.run.id, "owner": mine.run.owner, "kind": mine.run.kind}
    logs.event("run begun", **about, attempt=mine.run.attempts)
    try:
        if mine.run.damage:
            raise InvalidValueError(UNREADABLE.format(damage=mine.run.damage))
        kind = find_kind(mine.run.kind, plugins)
        if limit:  # in a thread of the app, its own settings stand
            _limit_threads(kind, mine.run.threads)
        context = JobContext(mine, pulse)
        context.restore()
        kind.work(context)
        context.publish()
        pulse.add(progress=1.0)
    except Interruption as interruption:
        if interruption.order == LOST:
            return LOST
        status, message = ENDS[interruption.order]
    except BaseException as caught:
        status, error = "failed", caught
    finally:
        pulse.stop()
        orders.follow(None)
    ours = patiently(lambda: _finish(mine, pulse, status, message, error), orders.give_up_if_told)
    if ours and status == "done":  # only now: until here a kill would have needed it
        patiently(lambda: mine.store.files.done(mine.run.id), orders.give_up_if_told)
    ended = status if ours else LOST
    level = logging.WARNING if error is not None else logging.INFO
    why = None if error is None else sentence(error)
    logs.event("run ended", **about, seconds=pulse.seconds(), status=ended, why=why, level=level)
    return ended


ENDS = {"cancel": ("cancelled", ""), "stop": ("interrupted", CLOSED)}


def _finish(
    mine: Lease, pulse: Pulse, status: str, message: str, error: BaseException | None
) -> bool:
    pulse.flush()
    return mine.finish(
        status,
        message=message,
        error=None if error is None else sentence(error),
        trace=None if error is None else "".join(traceback.format_exception(error)),
    )


def sentence(error: BaseException) -> str:
    """Return what a person reads about an error: PruneViz's own text, or "TypeName: text"."""
    if isinstance(error, PruneVizError):
        return str(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def default_threads() -> int:
    """Return how many cores a run may use: all but one, which is left to the interface."""
    return max(1, cores() - 1)


def prepare_process() -> None:
    """Set up a new worker process; called once, when it starts.

    It gives way to the interface, ends its run properly when it is told to, and outlives the app by
    its current run at most.
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    bars.silence()
    logs.set_up()
    orders.listen(BUSY)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def leave() -> None:
            parent.join()
            BUSY.acquire()
            os._exit(0)

        threading.Thread(target=leave, name="orphan-watch", daemon=True).start()


def warm() -> None:
    """Import what takes long, before the first run is there."""
    import torch  # noqa: F401


def _limit_threads(kind: Kind, threads: int | None) -> None:
    if not kind.uses_torch or threads is None:
        return
    import torch

    torch.set_num_threads(threads)

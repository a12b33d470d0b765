"""One run in a worker process: claim it, do it, and leave the records telling how it went."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Sequence

from pruneviz.errors import PruneVizError, StorageError, UnknownNameError
from pruneviz.jobs.checkpoints import Checkpoints
from pruneviz.jobs.context import Interruption, JobContext
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.leases import LOST, Claim, claim
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.registry import Kind, find_kind

NICENESS = 5
CLOSED = "PruneViz was closed."
_busy = threading.Lock()


def run_job(home: str, run_id: str, plugins: Sequence[str] = (), threads: int | None = None) -> str:
    """Do a queued run and return the status it ended with; what a worker process executes.

    Does nothing, and returns the run's status, when it is not queued (any more): handing the same
    run to several workers is harmless. `threads` limits torch in a process of its own; by default
    one core is left to the interface. A run that is no more is "deleted".

    Raises:
        StorageError: the records cannot be read or written.
    """
    with _busy if multiprocessing.parent_process() else contextlib.nullcontext():
        return _run_job(home, run_id, plugins, threads)


def _run_job(home: str, run_id: str, plugins: Sequence[str], threads: int | None) -> str:
    store = RunStore(home)
    try:
        mine = claim(store, run_id, threads=threads or default_threads())
        status = LOST if mine is None else _work(mine, plugins)
        if status != LOST:
            return status
        try:  # taken by another, given up for dead, or deleted?
            return store.get(run_id).status
        except UnknownNameError:
            shutil.rmtree(store.directory(run_id), ignore_errors=True)
            return "deleted"
    finally:
        store.close()


def _work(mine: Claim, plugins: Sequence[str]) -> str:
    """Do a claimed run; whatever happens inside ends in its records."""
    pulse = Pulse(mine)
    error: BaseException | None = None
    status, message = "done", ""
    pulse.start()
    try:
        kind = find_kind(mine.run.kind, plugins)
        _limit_threads(kind, mine.run.threads)
        context = JobContext(mine, pulse)
        context.restore()
        kind.work(context)
        pulse.flush(progress=1.0)
    except Interruption as interruption:
        if interruption.order in (LOST, "aside"):
            return {LOST: LOST, "aside": "paused"}[interruption.order]
        status, message = {"cancel": ("cancelled", ""), "stop": ("interrupted", CLOSED)}[
            interruption.order
        ]
    except BaseException as caught:
        status, error = "failed", caught
    finally:
        pulse.stop()
    with contextlib.suppress(StorageError):  # the last rows: wanted, but the end matters more
        pulse.flush()
    ours = mine.finish(
        status,
        message=message,
        error=None if error is None else sentence(error),
        trace=None if error is None else "".join(traceback.format_exception(error)),
    )
    if ours and status == "done":  # only now: until here a kill would have needed it
        Checkpoints(mine.store.directory(mine.run.id)).clear()
    return status if ours else LOST


def sentence(error: BaseException) -> str:
    """Return what a person reads about an error: PruneViz's own text, or "TypeName: text"."""
    if isinstance(error, PruneVizError):
        return str(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def default_threads() -> int:
    """Return how many cores a run may use: all but one, which the interface keeps."""
    known = getattr(os, "sched_getaffinity", None)
    cores = len(known(0)) if known is not None else os.cpu_count() or 1
    return max(1, cores - 1)


def prepare_process() -> None:
    """Make a fresh process a good worker; called once, when it starts.

    It yields to the interface, leaves Ctrl-C to the app (which asks its runs to stop), and does not
    outlive the app by more than the run in hand.
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def leave() -> None:
            parent.join()
            _busy.acquire()
            os._exit(0)

        threading.Thread(target=leave, name="orphan-watch", daemon=True).start()


def warm() -> None:
    """Import what takes long, before the first run is there."""
    import torch  # noqa: F401


def _limit_threads(kind: Kind, threads: int | None) -> None:
    if not kind.uses_torch or threads is None or multiprocessing.parent_process() is None:
        return  # in a thread of the app, its own settings stand
    import torch

    torch.set_num_threads(threads)

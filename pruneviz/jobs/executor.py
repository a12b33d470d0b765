"""Where runs are executed: a pool of spawned processes behind the standard Executor contract.

`spawn` gives each worker a fresh interpreter, without threads, locks or CUDA state copied from the
app. It has one trap: the child runs the parent's main module again, to find what was pickled from
there. Under `streamlit run app.py` that module is the app itself. Nothing here is pickled from the
main module, so the workers are told that there is none.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, ParamSpec, TypeVar

from pruneviz.jobs.worker import prepare_process

P = ParamSpec("P")
T = TypeVar("T")

_starting = threading.local()
_original = multiprocessing.spawn.get_preparation_data


def _preparation_data(name: str) -> dict[str, Any]:
    """Tell a child of this module nothing about the main module; others, all as ever."""
    data = dict(_original(name))
    if getattr(_starting, "quiet", False):
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
    return data


# Replaced for good rather than around each start: Streamlit puts its script into
# sys.modules["__main__"] at any moment, from other threads. A mark that belongs to the thread which
# starts the process cannot be raced.
multiprocessing.spawn.get_preparation_data = _preparation_data


class QuietProcess(SpawnProcess):
    """A spawned process that does not run the main module again."""

    def start(self) -> None:
        """Start the process."""
        _starting.quiet = True
        try:
            super().start()
        finally:
            _starting.quiet = False


class QuietContext(SpawnContext):
    """The spawn context, with processes that do not run the main module again."""

    Process = QuietProcess


class WorkerPool(Executor):
    """Spawned worker processes that are there when needed, and again after one was killed.

    A `ProcessPoolExecutor` is of no more use once one of its processes has died; this one is then
    replaced at the next `submit`. The futures of the broken one fail with `BrokenProcessPool`.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn`, which must be importable by name."""
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            try:
                return self._ready().submit(fn, *args, **kwargs)
            except BrokenProcessPool:
                self._pool = None
                return self._ready().submit(fn, *args, **kwargs)

    def processes(self) -> list[Any]:
        """Return the worker processes."""
        known = self._pool._processes if self._pool is not None else None
        return list((known or {}).values())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, after what they have in hand."""
        with self._lock:
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End the workers now."""
        processes = self.processes()
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()

    def _ready(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=QuietContext(), initializer=prepare_process
            )
        return self._pool

"""Where runs are executed: spawned processes behind the standard Executor contract.

`spawn` gives each worker a fresh interpreter, without threads, locks or CUDA state copied from the
app. It has one trap: the child runs the parent's main module again, to find what was pickled from
there. Under `streamlit run app.py` that module is the app itself. Nothing here is pickled from the
main module, so the workers are told that there is none.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from functools import partial
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import Empty, Queue
from typing import Any, ParamSpec, TypeVar

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.worker import prepare_process

P = ParamSpec("P")
T = TypeVar("T")
Work = tuple[Future[Any], Callable[[], Any]]

VARIABLE = "PRUNEVIZ_WORKERS"

_starting = threading.local()
_original = multiprocessing.spawn.get_preparation_data


def _preparation_data(name: str) -> dict[str, Any]:
    """Hide the main module from children that are started here, but not from others."""
    data = dict(_original(name))
    if getattr(_starting, "quiet", False):
        data.pop("init_main_from_name", None)
        data.pop("init_main_from_path", None)
    return data


# Replaced for good rather than around each start: Streamlit puts its script into
# sys.modules["__main__"] at any moment, from other threads. A mark that belongs to the thread which
# starts the process cannot be raced.
multiprocessing.spawn.get_preparation_data = _preparation_data


def resolve_workers(option: int | None = None) -> int:
    """Return how many processes do runs at the same time: `option`, `$PRUNEVIZ_WORKERS`, or one.

    Raises:
        InvalidValueError: it is no whole number of at least 1.
    """
    asked = os.environ.get(VARIABLE) or "1" if option is None else str(option)
    if not asked.isdecimal() or int(asked) < 1:
        raise InvalidValueError(
            f"The number of workers is a whole number of at least 1, but got '{asked}'."
        )
    return int(asked)


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
    """Spawned worker processes, started when they are needed and replaced when one is killed.

    A `ProcessPoolExecutor` ends all its processes once one of them has died. So each worker is a
    pool of its own, fed by a thread from a common queue: a killed worker takes only its own run
    with it. That run's future fails with `BrokenProcessPool`; the next run gets a new process.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._lanes: list[Lane] = []
        self._work: Queue[Work | None] = Queue()
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn`, which must be importable by name."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._work.put((future, partial(fn, *args, **kwargs)))
            if len(self._lanes) < self.workers and not any(lane.idle for lane in self._lanes):
                self._lanes.append(Lane(self._work))
                self._lanes[-1].start()
        return future

    def processes(self) -> list[SpawnProcess]:
        """Return the worker processes."""
        return [process for lane in self._lanes for process in lane.processes()]

    def end(self, pid: int | None) -> None:
        """Kill one worker, if it is one of these; its run fails with `BrokenProcessPool`."""
        for process in self.processes():
            if process.pid == pid:
                process.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once they have finished their current work."""
        with self._lock:
            self._closed = True
            lanes = list(self._lanes)
        while cancel_futures:
            try:
                item = self._work.get_nowait()
            except Empty:
                break
            if item is not None and item[0].cancel():
                item[0].set_running_or_notify_cancel()  # tells those who wait for it
        for _ in lanes:
            self._work.put(None)
        if wait:
            for lane in lanes:
                lane.join()

    def kill(self) -> None:
        """End the workers now."""
        processes = self.processes()
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


class Lane(threading.Thread):
    """Takes work from the queue and has one process of its own do it, until it finds None."""

    def __init__(self, work: Queue[Work | None]) -> None:
        super().__init__(name="worker-lane", daemon=True)
        self.idle = True
        self._work = work
        self._pool: ProcessPoolExecutor | None = None

    def processes(self) -> list[SpawnProcess]:
        """Return the process, if it has been started."""
        return list((getattr(self._pool, "_processes", None) or {}).values())

    def run(self) -> None:
        """Serve (the thread's own method)."""
        while (item := self._work.get()) is not None:
            future, call = item
            if future.set_running_or_notify_cancel():
                self.idle = False
                try:
                    result = self._done(call)
                except BaseException as error:
                    self.idle = True  # before anybody hears of it and submits again
                    future.set_exception(error)
                else:
                    self.idle = True
                    future.set_result(result)
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def _done(self, call: Callable[[], Any]) -> Any:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=QuietContext(), initializer=prepare_process
            )
        try:
            return self._pool.submit(call).result()
        except BrokenProcessPool:
            self._pool = None
            raise

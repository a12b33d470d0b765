"""Who does the runs: processes of this machine, or workers on other machines."""

from __future__ import annotations

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Executor, Future

from pruneviz.errors import InvalidValueError, StorageUnreachableError
from pruneviz.jobs.dask_executor import DaskExecutor, resolve_scheduler
from pruneviz.jobs.elsewhere import (
    Order,
    dask_executor,
    own_digest,
    run_elsewhere,
    versions,
)
from pruneviz.jobs.executor import WorkerPool, resolve_workers
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.worker import run_job, warm
from pruneviz.machine import cores


class Workers(ABC):
    """An executor, and what is sent to it for a run of `store`."""

    remote = False
    """Whether they are on other machines, and share only the database and the store."""
    pool: WorkerPool | None = None
    """The processes that belong to this app and end with it."""
    away: str | None = None
    """Why none of them can be reached at present."""

    def __init__(
        self, executor: Executor, store: RunStore, plugins: Sequence[str], threads: int | None
    ) -> None:
        self.executor = executor
        self._store = store
        self._plugins = tuple(plugins)
        self._threads = threads

    @abstractmethod
    def submit(self, run_id: str) -> Future[str]:
        """Hand a run to a worker; the future has the status with which the run ended.

        Raises:
            StorageError: not now; later, perhaps.
        """

    def warm(self) -> None:  # noqa: B027 most have nothing to do
        """Start a worker now, so that the first run need not wait for its imports."""

    def look(self) -> None:  # noqa: B027 most have nothing to do
        """See whether they can be reached; may take seconds."""

    def are_away(self, error: BaseException) -> bool:
        """Tell whether `error` means that none can be reached, and remember it in `away`."""
        return False

    def leave(self) -> None:  # noqa: B027 most have nothing to do
        """Let go of the connection; what they have under way goes on."""


class LocalWorkers(Workers):
    """Workers on this machine: PruneViz's own processes, or an executor that was given."""

    def __init__(
        self,
        executor: Executor | None,
        store: RunStore,
        plugins: Sequence[str],
        threads: int | None,
        count: int = 1,
    ) -> None:
        if executor is None:
            executor = self.pool = WorkerPool(count)
        super().__init__(executor, store, plugins, threads)

    def submit(self, run_id: str) -> Future[str]:
        """Have one of them do the run."""
        store = self._store
        return self.executor.submit(
            run_job, os.fspath(store.home), run_id, self._plugins, self._threads,
            store.database.address, store.files.address,
        )  # fmt: skip

    def warm(self) -> None:
        """Start a worker and import what takes long."""
        self.executor.submit(warm)


class RemoteWorkers(Workers):
    """Workers on other machines, behind an executor that was given."""

    remote = True

    def submit(self, run_id: str) -> Future[str]:
        """Send an order for the run."""
        stamp, ticket = self._store.database.stamp, uuid.uuid4().hex
        order = Order(run_id, ticket, stamp, versions(), self._plugins, self._threads, own_digest())
        return self.executor.submit(run_elsewhere, order)


class ScheduledWorkers(RemoteWorkers):
    """Workers on other machines, behind a Dask scheduler that may be gone for a while.

    Only `look` waits for the scheduler to answer: while it is known to be away, `submit` refuses
    at once, so that no page waits.
    """

    def __init__(
        self, dask: DaskExecutor, store: RunStore, plugins: Sequence[str], threads: int | None
    ) -> None:
        super().__init__(dask, store, plugins, threads)
        self._dask = dask

    def submit(self, run_id: str) -> Future[str]:
        """Send an order for the run to the scheduler.

        Raises:
            StorageUnreachableError: the scheduler is away.
        """
        if self.away is not None and not self._dask.connected:
            raise StorageUnreachableError(self.away)
        return super().submit(run_id)

    def look(self) -> None:
        """Ask the scheduler for its workers."""
        self.away = self._dask.trouble()

    def are_away(self, error: BaseException) -> bool:
        """Tell whether the scheduler, or what its workers share, could not be reached."""
        if not isinstance(error, StorageUnreachableError):
            return False
        self.away = str(error)
        return True

    def leave(self) -> None:
        """Leave the scheduler with the runs that it has."""
        self._dask.shutdown()


def workers_for(
    store: RunStore,
    *,
    executor: Executor | None = None,
    elsewhere: bool = False,
    scheduler: str | None = None,
    count: int | None = None,
    threads: int | None = None,
    plugins: Sequence[str] = (),
) -> Workers:
    """Return the workers that these options name; the options are those of `JobService`.

    Raises:
        InvalidValueError: options that contradict each other.
        StorageUnreachableError: the scheduler does not answer.
    """
    address = resolve_scheduler(scheduler) if executor is None else None
    count = resolve_workers(count)
    threads = threads if threads or count == 1 else max(1, cores() // count)
    if address is not None:
        return ScheduledWorkers(dask_executor(address, store), store, plugins, threads)
    if not elsewhere:
        return LocalWorkers(executor, store, plugins, threads, count)
    if executor is None:
        raise InvalidValueError(
            "`elsewhere` says that an executor's workers are on other machines, but got no "
            "executor; pass one, or the address of a scheduler."
        )
    return RemoteWorkers(executor, store, plugins, threads)

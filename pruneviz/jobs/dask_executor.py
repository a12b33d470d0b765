"""A Dask scheduler behind the standard Executor contract.

Dask does the scheduling: it decides which worker gets which run, and gives the run to another when
a worker is gone. Here its futures become those of `concurrent.futures`, and its failures become
errors that the service knows: workers died, or the scheduler cannot be reached for now.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from pruneviz.errors import (
    InvalidValueError,
    MissingExtraError,
    StorageUnreachableError,
)

P = ParamSpec("P")
T = TypeVar("T")
VARIABLE = "PRUNEVIZ_SCHEDULER"
CONNECT_SECONDS = 5
PREFIX = "pruneviz-"


def resolve_scheduler(option: str | None = None) -> str | None:
    """Return the scheduler's address: `option`, else `$PRUNEVIZ_SCHEDULER`; None: there is none.

    Raises:
        InvalidValueError: it is not an address of Dask's.
    """
    address = option or os.environ.get(VARIABLE) or None
    if address is None:
        return None
    kind, sign, place = address.partition("://")
    if not sign or kind not in ("tcp", "tls", "dask") or ":" not in place:
        raise InvalidValueError(
            f"A scheduler is at an address such as tcp://host:8786, but got '{address}'."
        )
    return f"tcp://{place}" if kind == "dask" else address


class DaskExecutor(Executor):
    """Sends work to a Dask scheduler's workers, each task to one that offers `resources`.

    Raises:
        StorageUnreachableError: the scheduler does not answer.
        MissingExtraError: Dask is not installed.
    """

    def __init__(self, address: str, resources: Mapping[str, float], wanted: str = "") -> None:
        self.address = address
        self._resources = dict(resources)
        self._wanted = wanted
        self._client: Any = None
        self._lock = threading.Lock()
        self._closed = False
        self._connected()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn`.

        Raises:
            StorageUnreachableError: the scheduler does not answer; try again later.
        """
        from distributed import fire_and_forget

        client = self._connected()
        try:
            theirs = client.submit(
                fn, *args, key=f"run-{uuid.uuid4().hex}", pure=False,
                resources=self._resources, **kwargs,
            )  # fmt: skip
            fire_and_forget(theirs)  # it waits there for a worker though this process may end
        except Exception as error:
            raise self._gone(error) from error
        ours: Future[T] = Future()
        ours.set_running_or_notify_cancel()
        theirs.add_done_callback(lambda done: self._pass_on(done, ours))
        return ours

    @property
    def connected(self) -> bool:
        """Whether the scheduler answered when it was last asked."""
        client = self._client
        return client is not None and client.status == "running"

    def trouble(self) -> str | None:
        """Return why no run is being done at present; None: all is well."""
        try:
            workers = self._connected().scheduler_info(n_workers=-1)["workers"].values()
        except StorageUnreachableError as error:
            return str(error)
        except Exception as error:
            return str(self._gone(error))
        fits = [w for w in workers if self._resources.keys() <= w.get("resources", {}).keys()]
        if fits:
            return None
        if not workers:
            return (
                f"No worker is connected to the scheduler at {self.address}; runs wait. Start "
                f"workers with `pruneviz worker --scheduler {self.address}`."
            )
        theirs = {n for w in workers for n in w.get("resources", {}) if n.startswith(PREFIX)}
        others = ", ".join(sorted(name.removeprefix(PREFIX) for name in theirs)) or "none of these"
        needs = " ".join(n for n in self._resources if not n.startswith(PREFIX))
        return (
            f"None of the workers at {self.address} has {self._wanted}"
            f"{f' and {needs}' if needs else ''}, as this studio needs (they have {others}); runs "
            "wait. Start workers of the same version with `pruneviz worker`."
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Disconnect from the scheduler; the runs that it has continue."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                client.close(timeout=2)

    def _connected(self) -> Any:
        """Return a connected client, a new one if the scheduler was lost."""
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtraError("A scheduler", "distributed", "cluster") from error

        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._client is not None and self._client.status == "running":
                return self._client
            if self._client is not None:
                with suppress(Exception):
                    self._client.close(timeout=1)
                self._client = None
            # It tells of a lost scheduler with a long traceback; the banner says it in a sentence.
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
            try:
                self._client = Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
            except Exception as error:
                raise self._gone(error) from error
            return self._client

    def _pass_on(self, theirs: Any, ours: Future[Any]) -> None:
        from distributed.scheduler import KilledWorker

        if theirs.status == "finished":
            try:
                ours.set_result(theirs.result(timeout=CONNECT_SECONDS))
            except Exception as error:
                ours.set_exception(self._gone(error))
            return
        if theirs.status == "error":
            raised = theirs.exception()
            died = isinstance(raised, KilledWorker)
            ours.set_exception(BrokenExecutor(str(raised)) if died else raised)
            return
        ours.set_exception(self._gone(None))

    def _gone(self, error: BaseException | None) -> StorageUnreachableError:
        name = "" if error is None else f" ({type(error).__name__})"
        return StorageUnreachableError(
            f"The scheduler at {self.address} cannot be reached{name}. Start it, or correct "
            "--scheduler; runs wait until it answers."
        )

"""Runs done by workers on other machines, which share only database and store with this one.

A worker is sent an `Order`: ids and versions, no address and no password. It knows from its own
environment where the records and files are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pruneviz.errors import InvalidValueError, NotAllowedError, WrongWorkerError
from pruneviz.jobs.alive import host
from pruneviz.jobs.artifacts import VARIABLE as STORE
from pruneviz.jobs.artifacts import resolve_store
from pruneviz.jobs.dask_executor import DaskExecutor
from pruneviz.jobs.database import VARIABLE as DATABASE
from pruneviz.jobs.database import resolve_database
from pruneviz.jobs.home import check_space, resolve_home
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.worker import BUSY, do_run

NEEDS = "PRUNEVIZ_NEEDS"


@dataclass(frozen=True)
class Versions:
    """What must be the same on a worker, or the same run would end with different weights."""

    pruneviz: str
    torch: str

    def __str__(self) -> str:
        return f"PruneViz {self.pruneviz} with torch {self.torch}"

    @property
    def resource(self) -> str:
        """The name under which a worker offers them to a scheduler."""
        return f"pruneviz-{self.pruneviz}-torch-{self.torch}"


def versions() -> Versions:
    """Return this installation's versions, torch's without the suffix that names its build."""
    return Versions(version("pruneviz"), version("torch").partition("+")[0])


@dataclass(frozen=True)
class Order:
    """One run for whichever worker gets it.

    `ticket` stays the same when a scheduler gives the order to a second worker because the first is
    gone: the second may take over the run at once. `records` is the stamp of the database.
    """

    run_id: str
    ticket: str
    records: int
    versions: Versions
    plugins: tuple[str, ...] = ()
    threads: int | None = None


def run_elsewhere(order: Order) -> str:
    """Do a run on this machine, and return the status it ended with; what a worker executes.

    Raises:
        WrongWorkerError: this worker has other versions, or another database.
        StorageError: the records or the store do not answer.
    """
    mine = versions()
    if mine != order.versions:
        raise WrongWorkerError(
            f"The worker on {host()} has {mine}, and the studio has {order.versions}; install the "
            "same versions there. The run waits for another worker."
        )
    database, store = resolve_database(), resolve_store()
    if database is None or store is None:
        missing = " and ".join(
            f"${name}" for name, value in ((DATABASE, database), (STORE, store)) if value is None
        )
        raise WrongWorkerError(
            f"The worker on {host()} was started without {missing}; start it with `pruneviz "
            "worker`, and both set. The run waits for another worker."
        )
    home = resolve_home()
    check_space(home)
    records = RunStore(home, database, store)
    if records.database.stamp != order.records:
        records.close()
        raise WrongWorkerError(
            f"The worker on {host()} has another database than the studio, at "
            f"{records.database.place}; correct ${DATABASE} there. The run waits for another "
            "worker."
        )
    with BUSY:
        return do_run(
            records, order.run_id, order.plugins, order.threads, ticket=order.ticket, limit=True
        )


def dask_executor(address: str, records: RunStore) -> DaskExecutor:
    """Return the executor of a scheduler, for workers of these versions.

    Raises:
        InvalidValueError: the records or files are where other machines cannot read them.
        StorageUnreachableError: the scheduler does not answer.
    """
    missing = [
        option
        for option, given in (
            ("--database", records.database.address),
            ("--store", records.files.address),
        )
        if given is None
    ]
    if missing:
        raise InvalidValueError(
            "Workers on other machines share a database and a store with the studio; set "
            f"{' and '.join(missing)} beside --scheduler."
        )
    mine = versions()
    return DaskExecutor(address, {mine.resource: 1, **resolve_needs()}, str(mine))


def check_travels(model: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Check that a worker on another machine can load a run's network and data.

    Raises:
        NotAllowedError: they are only on this machine.
    """
    weights, options = model.get("weights"), data.get("options") or {}
    path = isinstance(weights, str) and (os.sep in weights or weights.endswith(".safetensors"))
    if str(model.get("name", "")).startswith("own/") or path:
        what = "The network's file"
    elif data.get("name") == "own" or "root" in options:
        what = "The folder of images"
    else:
        return
    raise NotAllowedError(
        f"{what} is only on this machine, but runs are done on others here. Choose a network and "
        "data from the catalogue, or start PruneViz without --scheduler."
    )


def resolve_needs(option: str | None = None) -> dict[str, float]:
    """Return what else a worker must offer, such as `GPU=1`: `option` or `$PRUNEVIZ_NEEDS`.

    Raises:
        InvalidValueError: it is not NAME=NUMBER.
    """
    needs = {}
    for part in (option or os.environ.get(NEEDS, "")).split():
        name, _, number = part.partition("=")
        try:
            needs[name] = float(number)
        except ValueError:
            raise InvalidValueError(
                f"A worker's resource is NAME=NUMBER, such as GPU=1, but got '{part}'."
            ) from None
    return needs

"""Runs done by workers on other machines, which share only database and store with this one.

A worker is sent an `Order`: ids and versions, no address and no password. It knows from its own
environment where the records and files are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pruneviz.errors import (
    InvalidValueError,
    NotAllowedError,
    UnknownNameError,
    WrongWorkerError,
)
from pruneviz.jobs.alive import host
from pruneviz.jobs.artifacts import VARIABLE as STORE
from pruneviz.jobs.artifacts import resolve_store
from pruneviz.jobs.dask_executor import DaskExecutor
from pruneviz.jobs.database import VARIABLE as DATABASE
from pruneviz.jobs.database import resolve_database
from pruneviz.jobs.home import check_space, resolve_home
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.views import RunSpec
from pruneviz.jobs.worker import BUSY, do_run

NEEDS = "PRUNEVIZ_NEEDS"
OWN_NETWORK = "PRUNEVIZ_OWN_NETWORK"  # as pruneviz.catalog.own has it, without torch


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
    network: str | None = None
    """The digest of the file with the studio's own network."""


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
    try:
        _check_network(records, order)
    except BaseException:
        records.close()
        raise
    with BUSY:
        return do_run(
            records, order.run_id, order.plugins, order.threads, ticket=order.ticket, limit=True
        )


def _check_network(records: RunStore, order: Order) -> None:
    try:
        spec = records.get(order.run_id).spec
    except UnknownNameError:
        return  # deleted meanwhile, as the claim will find
    if is_own(spec) and (order.network is None or own_digest() != order.network):
        raise WrongWorkerError(
            f"The run needs the network '{_network(spec)}', code of the studio's owner, "
            f"which is not sent to other machines. Copy the file there, and start the worker on "
            f"{host()} with `pruneviz worker --network FILE.py:FACTORY`. The run waits for another "
            "worker."
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


def check_travels(spec: RunSpec) -> None:
    """Check that a worker on another machine can load a run's network and data.

    Weights files, folders of transformers, and images in folders or zips, go there through the
    store. A factory in a file is code, and the store is open to everyone whose runs are done: so
    code never travels, but whoever starts a worker may give it the file, and the digest tells
    whether it is the same. An object handed over by `pv.studio` has no such file.

    Raises:
        NotAllowedError: they are only on this machine.
    """
    from pruneviz.jobs.given import paths_of

    if is_own(spec) and (network := own_network()) is not None and not network.get("factory"):
        raise NotAllowedError(
            "The network was handed over as a Python object, which is code and does not travel to "
            "other machines. Write a function that returns it into a file, start PruneViz with "
            "`pruneviz FILE.py:FUNCTION`, and each worker with `pruneviz worker --network "
            "FILE.py:FUNCTION`."
        )
    root = paths_of(spec).get("data.root")
    if root is not None and root.is_dir() and spec.data.get("name") != "folder":
        from pruneviz.catalog.datasets import is_image_folder

        if not is_image_folder(str(root)):
            raise NotAllowedError(
                f"The folder '{root}' has files of torchvision, which are only on this machine, "
                "but runs are done on others here. Give an image folder, or let the workers "
                "download the data: leave root out."
            )


def is_own(spec: RunSpec) -> bool:
    """Whether a run's network is code of one's own."""
    return _network(spec).startswith("own/")


def _network(spec: RunSpec) -> str:
    """The name of a run's network; an experiment of the lab has it among its options."""
    return str(spec.model.get("name") or spec.options.get("network") or "")


def own_network() -> Mapping[str, Any] | None:
    """The network of one's own that this process was started with; no torch here."""
    text = os.environ.get(OWN_NETWORK)
    network: Mapping[str, Any] | None = json.loads(text) if text else None
    return network


def own_digest() -> str | None:
    """The digest of the file of that network."""
    network = own_network()
    return None if network is None else str(network["digest"])


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

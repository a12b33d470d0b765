"""The network that a finished run left, as weights to begin with: `weights="run:<id or name>"`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.errors import UnknownNameError, WeightsError
from pruneviz.jobs.home import resolve_home
from pruneviz.jobs.results import network_of
from pruneviz.jobs.steps import WEIGHTS

if TYPE_CHECKING:
    from torch import nn


def load(reference: str, network: str) -> nn.Module:
    """Return a run's network, pruned by its plan if it has one; the newest of several of a name.

    Raises:
        UnknownNameError: no run that left a network has this id or name; those that do are listed.
        WeightsError: the run's network is not the one that is asked for.
    """
    from pruneviz.jobs.records import RunStore

    store = RunStore(resolve_home())
    left = [run for run in store.list() if (store.directory(run.id) / WEIGHTS).exists()]
    run = next((r for r in left if reference in (r.id, r.name)), None)
    if run is None:
        raise UnknownNameError(
            "finished run", reference, [name for r in left for name in (r.name,)]
        )
    if run.spec.model.get("name") != network:
        raise WeightsError(
            f"The run '{run.name}' left a {run.spec.model.get('name')}, not a {network}; load "
            "that, or give weights of this network."
        )
    return network_of(run, store.directory(run.id))

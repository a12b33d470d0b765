"""The network that a finished run left, as weights to start from: `weights="run:<id or name>"`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pruneviz.catalog import elsewhere
from pruneviz.errors import UnknownNameError, WeightsError
from pruneviz.jobs import given
from pruneviz.jobs.artifacts import resolve_store
from pruneviz.jobs.database import resolve_database
from pruneviz.jobs.home import resolve_home
from pruneviz.jobs.results import network_of
from pruneviz.jobs.steps import PLAN, WEIGHTS

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.jobs.records import RunStore
    from pruneviz.jobs.views import RunSpec, RunView


def load(reference: str, network: str) -> nn.Module:
    """Return a run's network, pruned by its plan if it has one; the newest if several share a name.

    Raises:
        UnknownNameError: no run that left a network has this id or name; those that do are listed.
        WeightsError: the run's network is not the one asked for.
    """
    store, run = _find(reference)
    spec = given.at_hand(store.files, store.home, run.id, run.spec)
    if given.folder_of(network) is not None and not _is_of(spec, network):
        spec = given.bring(store.files, store.home, run.id, run.spec)  # `network` may be a copy
    if not _is_of(spec, network):
        raise WeightsError(
            f"The run '{run.name}' left a {run.spec.model.get('name')}, not a {network}; load "
            "that, or give weights of this network."
        )
    return network_of(replace(run, spec=spec), store.files.read(run.id))


def _is_of(spec: RunSpec, network: str) -> bool:
    return given.called_alike(spec.model.get("name"), network)


def plans(reference: str) -> tuple[str, ...]:
    """Return the plans (JSON) of a run and of those it started from, oldest first.

    Raises:
        UnknownNameError: one of these runs has been deleted.
    """
    store, run = _find(reference)
    own = store.files.read(run.id) / PLAN
    before = elsewhere.plans(run.spec.model.get("weights"))
    return (*before, own.read_text()) if own.exists() else before


def _find(reference: str) -> tuple[RunStore, RunView]:
    from pruneviz.jobs.records import RunStore

    store = RunStore(resolve_home(), resolve_database(), resolve_store())
    finished = store.files.having(WEIGHTS)
    left = [run for run in store.list() if run.id in finished]
    run = next((r for r in left if reference in (r.id, r.name)), None)
    if run is None:
        raise UnknownNameError(
            "finished run", reference, [name for r in left for name in (r.name,)]
        )
    return store, run

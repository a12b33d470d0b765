"""The networks that the page Explain compares: unpruned, repaired, and fine-tuned ones."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pruneviz.ui.export import network as exported
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.explain.passage import Passages
    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan
    from pruneviz.session.workbench import Workbench

UNPRUNED, CUT, REPAIRED = "unpruned", "before repair", "repaired"
_passages: WeakKeyDictionary[Workbench, Passages] = WeakKeyDictionary()


def passages(loaded: Workbench) -> Passages:
    """Return what sends images through the loaded network."""
    from pruneviz.explain.passage import Passages

    if loaded not in _passages:
        _passages[loaded] = Passages(loaded.model, loaded.graph)
    return _passages[loaded]


def fine_tuned(loaded: Workbench) -> dict[str, RunView]:
    """Return the finished runs of the subject that left a pruned network, by their titles."""
    runs = [run for run in runs_data.finished(loaded) if runs_data.has_plan(run)]
    return {f"fine-tuned: {run.name} ({run.id[:4]})": run for run in runs[:8]}


def network(loaded: Workbench, name: str, plan: Plan, run: RunView | None = None) -> nn.Module:
    """Return the network of that name; a repaired one takes as long as its repair."""
    if run is not None:
        return exported.network_of(loaded, exported.PLAIN, runs_data.plan_of_run(loaded, run), run)
    if name == REPAIRED and plan.dropped:
        return loaded.repairer(plan, exported.depth_of(loaded)).network
    if name == CUT and plan.dropped:
        return exported.network_of(loaded, exported.PLAIN, plan, None)
    return loaded.model

"""What fine-tuning made of plans: finished runs on the network, weights and data in hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from pruneviz.errors import StorageError
from pruneviz.jobs import JobService, RunView
from pruneviz.jobs.listing import Which
from pruneviz.jobs.steps import PLAN, WEIGHTS
from pruneviz.plan import Plan
from pruneviz.session.background import Answer
from pruneviz.session.previews import Previews
from pruneviz.session.run_rankings import is_about
from pruneviz.session.workbench import Workbench
from pruneviz.studies.pretraining_queue import KIND as PRETRAINING
from pruneviz.studies.race_queue import KIND as RACE
from pruneviz.studies.race_result import Race
from pruneviz.surgery import prune
from pruneviz.training import Evaluation, evaluate

NETWORKS = ("fine_tune", "strategy", RACE, PRETRAINING)
"""Kinds of runs that end with a network."""


@dataclass(frozen=True)
class FineTuned:
    """What a finished run says of its network."""

    run: RunView
    accuracy: float
    """Top-1, 0..1, on all `count` validation images."""
    count: int


def finished(service: JobService, workbench: Workbench) -> Iterator[RunView]:
    """Yield the finished runs that left a network of this subject, newest first."""
    for run in service.list(Which(kinds=tuple(NETWORKS), status="done")):
        if is_about(workbench, run):
            yield run


def plan_text(service: JobService, run: RunView) -> str | None:
    """Return the plan (JSON) of the network that a run ends with; None where nothing is pruned."""
    file = service.files(run.id) / PLAN
    if run.spec.plan is None and file.exists():
        return file.read_text()
    return run.spec.plan


def outcome(service: JobService, run: RunView) -> FineTuned | None:
    """Return the accuracy that a run ended with; None where it measured none (or it is damaged)."""
    after: Any = service.results(run.id).get("after")
    with contextlib.suppress(TypeError, KeyError, ValueError):
        return FineTuned(run, float(after["accuracy"]), int(after["count"]))
    return None


def of_plan(service: JobService, workbench: Workbench, plan: Plan) -> FineTuned | None:
    """Return what the newest finished run made of this very plan; None where there is none."""
    wanted = plan.to_json() if plan.dropped else None
    for run in finished(service, workbench):
        with contextlib.suppress(OSError):  # its folder may be gone
            if plan_text(service, run) == wanted and (reached := outcome(service, run)) is not None:
                return reached
    return None


def settings(service: JobService, run: RunView) -> tuple[str, dict[str, Any]]:
    """Return the kind and options with which a run can be repeated, whatever the defaults are."""
    options, results = dict(run.spec.options), service.results(run.id)
    if run.kind == RACE:  # a strategy's run, whose settings are those of the race
        race, name = Race.from_json(json.dumps(results[RACE])), str(options["strategy"])
        return "strategy", {"strategy": name, "seed": options["seed"], **race.settings_of(name)}
    if run.kind == "fine_tune":
        began = results.get("start", {})
        given = {"repair": began.get("repaired", False), "teacher": began.get("taught", False)}
        options |= given
    return run.kind, options


def on_preview_images(
    service: JobService, previews: Previews, workbench: Workbench, run: RunView
) -> Answer[Evaluation]:
    """Return the accuracy of a run's network on the images of all previews; ask for it if need be.

    A run is measured on all validation images, plans are on as many as take seconds: side by side
    they would be two claims in one picture.
    """
    weights, text = service.files(run.id) / WEIGHTS, plan_text(service, run)

    def measure() -> Evaluation:
        return _measure(workbench, weights, text)

    return previews.ask_of_run(workbench, run.id, measure)


def load_weights(network: nn.Module, weights: Path) -> None:
    """Give a run's weights to its network, in place.

    Raises:
        StorageError: the file is gone.
    """
    from safetensors.torch import load_file

    if not weights.exists():
        raise StorageError(f"The run's weights ({weights.name}) are gone; run it again.")
    network.load_state_dict(load_file(weights))


def _measure(workbench: Workbench, weights: Path, text: str | None) -> Evaluation:
    plan = Plan.from_json(workbench.graph, text) if text else Plan(workbench.graph)
    model = prune(workbench.model, workbench.graph, plan)
    load_weights(model, weights)
    return evaluate(model, workbench.data, limit=workbench.preview_images)

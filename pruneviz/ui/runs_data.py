"""What the records say about runs, in the terms of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pruneviz.figures import RunCurve, TradeoffPoint
from pruneviz.jobs import RunSpec
from pruneviz.ui import services

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan
    from pruneviz.ui.bench import Bench

FINE_TUNE = "fine_tune"
WEIGHTS = "weights.safetensors"


def spec(of: Bench, plan: Plan | None, options: dict[str, Any], name: str, owner: str) -> RunSpec:
    """Return the specification of a fine-tuning run of a plan."""
    return RunSpec(
        kind=FINE_TUNE,
        model=of.source,
        data=of.data.source,
        plan=plan.to_json() if plan is not None and plan.dropped else None,
        options=options,
        name=name,
        owner=owner,
    )


def about(of: Bench, run: RunView) -> bool:
    """Tell whether a run works on this network and this data."""
    return dict(run.spec.model) == of.source and dict(run.spec.data) == dict(of.data.source)


def finished(of: Bench) -> list[RunView]:
    """Return the fine-tuning runs of the subject that have weights to show, newest first."""
    return [
        run
        for run in services.jobs().list(status="done")
        if run.kind == FINE_TUNE and about(of, run)
    ]


def plan_of_run(of: Bench, run: RunView) -> Plan:
    """Return the plan that a run started from."""
    from pruneviz.plan import Plan

    return Plan.from_json(of.graph, run.spec.plan) if run.spec.plan else Plan(of.graph)


def final_accuracy(run: RunView) -> float | None:
    """Return the accuracy that a run ended with, on all validation images."""
    after = services.jobs().results(run.id).get("after")
    return float(after["accuracy"]) if after else None


def curve(run: RunView) -> RunCurve:
    """Return a run's course by epoch, the pruned network before training at epoch 0."""
    rows = services.jobs().metrics(run.id, level="epoch")
    before = services.jobs().results(run.id).get("before")
    epochs = [float(r.epoch or 0) for r in rows]
    accuracy = [float(r.accuracy) for r in rows if r.accuracy is not None]
    if before:
        epochs, accuracy = [0.0, *epochs], [float(before["accuracy"]), *accuracy]
    return RunCurve(
        label=run.name,
        epochs=tuple(epochs),
        accuracy=tuple(accuracy),
        loss=tuple(float(r.loss) for r in rows if r.loss is not None),
        val_loss=tuple(float(r.val_loss) for r in rows if r.val_loss is not None),
    )


def point(run: RunView) -> TradeoffPoint | None:
    """Return where a run stands in the accuracy/cost picture; None before its first epoch."""
    results = services.jobs().results(run.id)
    cost, after = results.get("cost"), results.get("after")
    rows = services.jobs().metrics(run.id, level="epoch")
    if not cost or (not rows and not after):
        return None
    accuracy = after["accuracy"] if after else rows[-1].accuracy
    if accuracy is None:
        return None
    return TradeoffPoint(
        key=f"run:{run.id}",
        label=f"{run.name} ({'fine-tuned' if run.status == 'done' else run.status})",
        kind="fine-tuned" if run.status == "done" else "running",
        macs=float(cost["macs"]),
        params=float(cost["params"]),
        accuracy=float(accuracy),
        images=int(after["count"]) if after else 0,
    )

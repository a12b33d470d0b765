"""What the records say about runs, in the terms of the pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pruneviz.figures import RunCurve, TradeoffPoint
from pruneviz.jobs import RunSpec, Which
from pruneviz.jobs.steps import PLAN
from pruneviz.session import fine_tuned
from pruneviz.session.run_rankings import is_about, ranking_runs
from pruneviz.studies.race_queue import KIND as RACE
from pruneviz.ui.frame import services

if TYPE_CHECKING:
    from pruneviz.jobs import MetricView, RunView
    from pruneviz.plan import Plan
    from pruneviz.sensitivity_result import Sensitivity
    from pruneviz.session.workbench import Workbench

FINE_TUNE, STRATEGY, SENSITIVITY, RANK = "fine_tune", "strategy", "sensitivity", "rank"


def spec(
    of: Workbench, plan: Plan | None, options: dict[str, Any], name: str, owner: str
) -> RunSpec:
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


def strategy_spec(
    of: Workbench, strategy: str, options: dict[str, Any], name: str, owner: str
) -> RunSpec:
    """Return the specification of a run that decides by itself which units go."""
    return RunSpec(
        kind=STRATEGY,
        model=of.source,
        data=of.data.source,
        options={"strategy": strategy, **options},
        name=name,
        owner=owner,
    )


def scan_spec(
    of: Workbench,
    criterion: str,
    ratios: tuple[float, ...],
    images: int,
    owner: str,
    after: str = "repaired",
) -> RunSpec:
    """Return the specification of a sensitivity scan."""
    return RunSpec(
        kind=SENSITIVITY,
        model=of.source,
        data=of.data.source,
        options={
            "criterion": criterion,
            "ratios": sorted(ratios),
            "images": images,
            "after": after,
        },
        name=f"{of.subject.model}: sensitivity by {criterion}, {after}",
        owner=owner,
    )


def rank_spec(of: Workbench, criterion: str, images: int, owner: str) -> RunSpec:
    """Return the specification of a ranking by a criterion that takes long."""
    return RunSpec(
        kind=RANK,
        model=of.source,
        data=of.data.source,
        options={"criteria": [criterion], "images": images},
        name=f"{of.subject.model}: ranking by {criterion}",
        owner=owner,
    )


def rank_runs(of: Workbench) -> dict[str, RunView]:
    """Return the newest ranking run of the subject by each criterion that takes long."""
    return ranking_runs(services.jobs(), of)


def scan_of(run: RunView) -> Sensitivity | None:
    """Return a scan as far as it has come; None before its first batch of images."""
    from pruneviz.jobs.results import sensitivity_of

    results = services.jobs().results(run.id)
    scan = sensitivity_of(results) if "sensitivity" in results else None
    return scan if scan is not None and scan.images else None


def of_subject(of: Workbench, *kinds: str) -> Which:
    """Return which runs to look at for those of these kinds on this network and data."""
    network = str(of.source.get("name", "")) or None
    return Which(kinds=kinds, network=network, data=of.data.source.get("name"))


def about(of: Workbench, run: RunView) -> bool:
    """Tell whether a run works on this network and this data."""
    return is_about(of, run)


def finished(of: Workbench) -> list[RunView]:
    """Return the fine-tuning runs of the subject that have weights to show, newest first."""
    return list(fine_tuned.finished(services.jobs(), of))


def plan_of_run(of: Workbench, run: RunView) -> Plan:
    """Return the plan of the network that a run ends with."""
    from pruneviz.plan import Plan

    text = fine_tuned.plan_text(services.jobs(), run)
    return Plan.from_json(of.graph, text) if text else Plan(of.graph)


def has_plan(run: RunView) -> bool:
    """Tell whether `plan_of_run` would find a plan."""
    return run.spec.plan is not None or services.jobs().has_file(run.id, PLAN)


def beginning(run: RunView, results: dict[str, Any]) -> str:
    """Say how the training of a plan began; empty where there is nothing to say."""
    start = results.get("start") or {
        "repaired": run.spec.options.get("repair") and run.kind == FINE_TUNE,
        "taught": run.spec.options.get("teacher") and run.kind == FINE_TUNE,
    }
    said = (("repaired", "repaired first"), ("taught", "distilled from the unpruned network"))
    return ", ".join(words for name, words in said if start.get(name))


def final_accuracy(run: RunView) -> float | None:
    """Return the accuracy that a run ended with, on all validation images."""
    outcome = fine_tuned.outcome(services.jobs(), run)
    return None if outcome is None else outcome.accuracy


def rows_of(run: RunView) -> list[MetricView]:
    """Return the rows of a run's history that have an accuracy: epochs, or a strategy's steps."""
    return _with_accuracy(services.jobs().metrics(run.id))


def _with_accuracy(rows: Iterable[MetricView]) -> list[MetricView]:
    return [row for row in rows if row.level != "batch" and row.accuracy is not None]


def curve(run: RunView) -> RunCurve:
    """Return a run's course by epoch or step, the pruned network before training at 0."""
    every = services.jobs().metrics(run.id)
    rows = _with_accuracy(every)
    before = services.jobs().results(run.id).get("before")
    epochs = [float(r.epoch if r.epoch is not None else r.step or 0) for r in rows]
    accuracy = [float(r.accuracy) for r in rows if r.accuracy is not None]
    if before:
        epochs, accuracy = [0.0, *epochs], [float(before["accuracy"]), *accuracy]
    return RunCurve(
        label=run.name,
        epochs=tuple(epochs),
        accuracy=tuple(accuracy),
        loss=tuple(float(r.loss) for r in rows if r.loss is not None),
        val_loss=tuple(float(r.val_loss) for r in rows if r.val_loss is not None),
        batches=tuple(
            (float(r.epoch), float(r.loss))
            for r in every
            if r.level == "batch" and r.epoch is not None and r.loss is not None
        ),
        right=tuple(
            (float(r.epoch), float(r.accuracy))
            for r in every
            if r.level == "batch" and r.epoch is not None and r.accuracy is not None
        ),
    )


def movement(run: RunView) -> dict[int, list[float | None]]:
    """Return how much each layer's weights changed, by epoch or step; empty where not recorded."""
    begun = services.jobs().results(run.id).get("moved")
    found: dict[int, list[float | None]] = {0: begun} if isinstance(begun, list) else {}
    level = "epoch" if run.kind == FINE_TUNE else "step"
    for row in services.jobs().metrics(run.id, level=level):
        at, moved = row.epoch if level == "epoch" else row.step, row.extra.get("moved")
        if at is not None and isinstance(moved, list):
            found[int(at)] = moved
    return found


def course(run: RunView) -> list[TradeoffPoint]:
    """Return the way of a strategy through the accuracy/cost picture, a point a step."""
    return [
        TradeoffPoint(
            key=f"run:{run.id}:{row.id}",
            label=f"{run.name}, step {row.step}",
            kind="running",
            macs=float(row.macs),
            params=float(row.params or 0),
            accuracy=float(row.accuracy),
            series=run.id,
        )
        for row in rows_of(run)
        if run.kind in (STRATEGY, RACE) and row.macs is not None and row.accuracy is not None
    ]


def point(run: RunView) -> TradeoffPoint | None:
    """Return where a run stands in the accuracy/cost picture; None before its first epoch."""
    results = services.jobs().results(run.id)
    cost, after = results.get("cost"), results.get("after")
    rows = rows_of(run)
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

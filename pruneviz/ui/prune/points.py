"""The points of the trade-off: visited plans, what fine-tuning made of them, and the control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from pruneviz.figures import TradeoffPoint
from pruneviz.session import fine_tuned
from pruneviz.session.decisions import Change, Decisions, exactly
from pruneviz.session.workbench import Workbench
from pruneviz.ui.choose import sweep
from pruneviz.ui.frame import error_boundary, services, state, workbench
from pruneviz.ui.prune.timings import known as known_time
from pruneviz.ui.runs import records as runs_data

CUT = "cut"
RUN = "run:"
CONTROL = "control:"
WAIT_SECONDS = 0.8


@dataclass(frozen=True)
class FineTunedPoints:
    """Finished runs, measured on the same images as the plans."""

    points: tuple[TradeoffPoint, ...] = ()
    pending: int = 0
    """Runs that are still to be measured on these images."""
    errors: tuple[str, ...] = ()
    """Why others cannot be."""


def of_plans(loaded: Workbench, times: Mapping[str, float] | None = None) -> list[TradeoffPoint]:
    """Return a point for every visited plan whose accuracy is known, and for the baseline.

    `times` are those that were measured, by the plans' digests; see `times.relative`.
    """
    times = times or {}
    history = state.history()
    tradeoff_points: list[TradeoffPoint] = []
    seen: set[str] = set()
    for step in (history.step, *reversed(tuple(history.steps.values()))):
        plan, cost = workbench.plan_at(loaded, step.decisions)
        worth = workbench.known_worth(loaded, plan)
        known = worth.best
        if known is None or worth.kind == CUT or plan.digest in seen:
            continue
        seen.add(plan.digest)
        tradeoff_points.append(
            TradeoffPoint(
                key=step.digest,
                label=f"{step.label} ({worth.kind})" if worth.kind else step.label,
                kind="plan" if plan.dropped else "baseline",
                macs=cost.macs,
                params=cost.params,
                accuracy=known.accuracy,
                images=known.count,
                latency=known_time(times, plan),
                current=step.digest == history.current,
            )
        )
    base = workbench.known_accuracy(loaded, None)
    if base is not None and not any(p.kind == "baseline" for p in tradeoff_points):
        _, cost = workbench.plan_at(loaded, Decisions())
        tradeoff_points.append(
            TradeoffPoint(
                "baseline",
                "nothing pruned",
                "baseline",
                cost.macs,
                cost.params,
                base.accuracy,
                base.count,
                known_time(times, None),
            )
        )
    return tradeoff_points


def of_runs(loaded: Workbench, times: Mapping[str, float] | None = None) -> FineTunedPoints:
    """Return a point for every finished run on this network and data, on the plans' images.

    Where plans are measured on fewer images than runs, the runs' networks are measured again, one
    at a time so that a visitor's own plan never waits behind them.
    """
    service, previews = services.jobs(), services.previews()
    points, pending, errors = [], 0, []
    for run in fine_tuned.finished(service, loaded):
        told = fine_tuned.outcome(service, run)
        if told is None or not runs_data.has_plan(run):
            continue
        accuracy, count = told.accuracy, told.count
        if count != loaded.preview_images:
            if pending:
                pending += 1
                continue
            answer = fine_tuned.on_preview_images(service, previews, loaded, run)
            if answer.error is not None:
                errors.append(f"{run.name}: {answer.error}")
                continue
            if answer.value is None:
                pending += 1
                continue
            accuracy, count = answer.value.accuracy, answer.value.count
        plan = runs_data.plan_of_run(loaded, run)
        cost = workbench.cost_of(loaded, plan)
        points.append(
            TradeoffPoint(
                key=f"{RUN}{run.id}",
                label=f"{run.name} (fine-tuned)",
                kind="fine-tuned",
                macs=cost.macs,
                params=cost.params,
                accuracy=accuracy,
                images=count,
                latency=known_time(times or {}, plan),
            )
        )
    return FineTunedPoints(tuple(points), pending, tuple(errors))


def of_control(loaded: Workbench) -> list[TradeoffPoint]:
    """Return the points of the random control, as far as they are measured; the rest is asked for.

    While some are missing, the page is drawn again now and then.
    """
    grown, complete = sweep.grow(loaded, sweep.CONTROL)
    if not complete:
        error_boundary.fragment(run_every=WAIT_SECONDS)(_wait_for_control)(loaded)
    return [
        TradeoffPoint(
            f"{CONTROL}{p.key}",
            p.label,
            "control",
            p.macs,
            p.params,
            p.accuracy,
            p.images,
            series="random",
        )
        for p in grown
        if p.kind == "plan"
    ]


def _wait_for_control(loaded: Workbench) -> None:
    grown, complete = sweep.grow(loaded, sweep.CONTROL)
    st.caption(f"Measuring the random control: {max(0, len(grown) - 1)} of {len(sweep.RATIOS)} …")
    if complete:
        st.rerun()


def wait_for_runs(loaded: Workbench, pending: int) -> None:
    """Say that runs are being measured; draw the page again when the next of them is."""
    error_boundary.fragment(run_every=WAIT_SECONDS)(_wait_for_runs)(loaded, pending)


def _wait_for_runs(loaded: Workbench, pending: int) -> None:
    runs = f"{pending} run{'' if pending == 1 else 's'}"
    st.caption(f"Measuring {runs} on the same {loaded.preview_images} images as plans …")
    if of_runs(loaded).pending != pending:
        st.rerun()


def control_change(key: str) -> Change:
    """Return the step to the plan behind a point of the control."""
    wanted = sweep.decisions_of(key.removeprefix(CONTROL))
    return wanted, sweep.SweepStep(wanted).label


def run_change(loaded: Workbench, key: str) -> Change | None:
    """Return the step to the plan behind a fine-tuned point; None if the run is gone."""
    for run in fine_tuned.finished(services.jobs(), loaded):
        if key == f"{RUN}{run.id}":
            units = frozenset(runs_data.plan_of_run(loaded, run).dropped)
            return exactly(state.history().decisions, units, f"plan of {run.name}")
    return None

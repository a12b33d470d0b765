"""What the records say about measured time, in the terms of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneviz.jobs import RunSpec
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import services
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pruneviz.jobs import RunView
    from pruneviz.latency import Latency, WidthLatency
    from pruneviz.plan import Plan

LATENCY, WIDTHS = "latency", "width_latency"
BATCHES = (1, 4, 16, 64, 256)
PASS_MACS = 300e9
"""Multiply-adds of the largest batch on offer: some ten seconds, and memory that is there."""
SECONDS = 4.0
"""Budget of a measurement; each further network or width adds to it."""
SECONDS_EACH = 1.0


@dataclass(frozen=True)
class Setting:
    """How time is measured: only times of the same setting are put side by side."""

    batch_size: int = 1
    threads: int = 1
    runtime: str = "torch"

    @property
    def said(self) -> str:
        """The setting in words."""
        images = "1 image" if self.batch_size == 1 else f"batches of {self.batch_size} images"
        inside = "" if self.runtime == "torch" else f", {self.runtime}"
        return f"{images}, {self.threads} thread{'s' if self.threads > 1 else ''}{inside}"


def batches(of: Workbench) -> list[int]:
    """Return the batch sizes that a pass of this network can be measured with."""
    from pruneviz.cost import cost

    macs = max(1, cost(of.graph).macs)
    return [size for size in BATCHES if size == 1 or size * macs <= PASS_MACS]


def runtimes() -> list[str]:
    """Return the runtimes that are installed."""
    from importlib.util import find_spec

    from pruneviz.latency.runtimes import RUNTIMES

    needed = {
        "onnxruntime": ("onnx", "onnxruntime", "onnxscript"),
        "openvino": ("onnx", "openvino", "onnxscript"),
    }
    return [name for name in RUNTIMES if all(map(find_spec, needed.get(name, ())))]


def setting_of(run: RunView) -> Setting:
    """Return how a run measures."""
    options = run.spec.options
    runtime = str(options.get("runtime", "torch"))  # runs of before it could be chosen
    return Setting(int(options["batch_size"]), int(options["threads"]), runtime)


def runs(of: Workbench, *kinds: str) -> list[RunView]:
    """Return the runs of these kinds on the subject, newest first."""
    recorded = services.jobs().list(runs_data.of_subject(of, *kinds))
    return [run for run in recorded if runs_data.about(of, run)]


def active(of: Workbench) -> RunView | None:
    """Return the measurement of the subject that is under way or waits, if there is one."""
    return next((run for run in runs(of, LATENCY, WIDTHS) if run.active), None)


def plans_spec(of: Workbench, plans: list[Plan], how: Setting, owner: str) -> RunSpec:
    """Return the specification of a run that times plans beside the unpruned network."""
    first, others = (plans[0], plans[1:]) if plans else (None, [])
    options: dict[str, Any] = {
        "batch_size": how.batch_size,
        "threads": how.threads,
        "runtime": how.runtime,
        "seconds": SECONDS + SECONDS_EACH * len(plans),
        "plans": [plan.to_json() for plan in others],
    }
    name = f"{of.subject.model}: time of " + (f"{len(plans)} plans" if len(plans) > 1 else "a plan")
    return _spec(of, LATENCY, first, options, name, owner)


def widths_spec(of: Workbench, plan: Plan, group: str, how: Setting, owner: str) -> RunSpec:
    """Return the specification of a run that times one group's widths, the rest by the plan."""
    from pruneviz.latency import spaced

    options: dict[str, Any] = {
        "batch_size": how.batch_size,
        "threads": how.threads,
        "runtime": how.runtime,
        "seconds": 2 * SECONDS + SECONDS_EACH * len(spaced(of.graph.group(group).width)),
        "group": group,
    }
    return _spec(of, WIDTHS, plan, options, f"{of.subject.model}: widths of {group}", owner)


def _spec(
    of: Workbench, kind: str, plan: Plan | None, options: dict[str, Any], name: str, owner: str
) -> RunSpec:
    text = plan.to_json() if plan is not None and plan.dropped else None
    return RunSpec(kind, of.source, of.data.source, text, options, name, owner)


def latest_setting(of: Workbench) -> Setting | None:
    """Return the setting of the newest finished measurement of plans."""
    done = [run for run in runs(of, LATENCY) if run.status == "done"]
    return setting_of(done[0]) if done else None


def measured(of: Workbench, how: Setting) -> dict[str, Latency]:
    """Return the newest measurement of each plan in one setting, by the plan's digest.

    Every one holds the unpruned network too, as "baseline": what is told of a plan is told by
    times that were taken side by side.
    """
    from pruneviz.jobs.results import latency_of

    by_plan: dict[str, Latency] = {}
    for run in runs(of, LATENCY):
        results = services.jobs().results(run.id) if setting_of(run) == how else {}
        if run.status == "done" and "latency" in results:
            latency = latency_of(results)
            for timing in latency.timings:
                by_plan.setdefault(timing.name, latency)
    return by_plan


def relative(of: Workbench, how: Setting | None = None) -> dict[str, float]:
    """Return each measured plan's time as a fraction of the unpruned network's, by digest.

    In the setting of the newest measurement, unless told otherwise; "baseline" is 1.
    """
    how = how or latest_setting(of)
    latencies = measured(of, how) if how is not None else {}
    return {name: 1 / latency.speedup(name) for name, latency in latencies.items()}


def known(times: Mapping[str, float], plan: Plan | None) -> float | None:
    """Return a plan's part of what `relative` found."""
    return times.get(plan.digest if plan is not None and plan.dropped else "baseline")


def unmeasured(plans: Iterable[Plan], times: Iterable[str]) -> list[Plan]:
    """Return the plans without a time, each once; the unpruned network is measured with any."""
    names = set(times)
    return list({p.digest: p for p in plans if p.dropped and p.digest not in names}.values())


def widths(of: Workbench, group: str, how: Setting) -> tuple[RunView, WidthLatency] | None:
    """Return the newest measurement of a group's widths, and its run."""
    from pruneviz.jobs.results import widths_of

    for run in runs(of, WIDTHS):
        if run.status == "done" and run.spec.options["group"] == group and setting_of(run) == how:
            results = services.jobs().results(run.id)
            if "widths" in results:
                return run, widths_of(results)
    return None

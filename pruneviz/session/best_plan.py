"""The best plan for a budget, for a person who decides: what was decided by hand stays."""

from __future__ import annotations

from collections.abc import Callable

from pruneviz.allocation import IMAGES, Allocation, search
from pruneviz.allocation.greedy import budget
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.sensitivity_result import Sensitivity
from pruneviz.session.decisions import Change, Decisions, exactly
from pruneviz.session.workbench import Workbench


def best_plan(
    workbench: Workbench,
    decisions: Decisions,
    target: float,
    *,
    scan: Sensitivity | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> tuple[Change, Allocation]:
    """The step to the plan that costs least accuracy at `target` of the MACs (0..1).

    Protected groups stay whole. Filters that were dropped or kept by hand stay so, and so the plan
    may leave a little more or less than the target.

    Args:
        workbench: The network and data.
        decisions: What was decided so far; its criterion orders the units.
        target: The fraction of the MACs that may be left.
        scan: A repaired scan by the same criterion, where there is one.
        progress: Called with the fraction done and what is done now.

    Raises:
        InvalidValueError: The target cannot be reached.
    """
    tell = progress or (lambda share, what: None)
    graph = workbench.graph
    wanted = budget(graph, target, None, decisions.protected)
    criterion = decisions.criterion
    ranking = workbench.rankings.of(criterion)
    images = min(IMAGES, workbench.preview_images)
    if not wanted.groups:
        raise InvalidValueError(
            "Every group is protected, so nothing can be pruned; unprotect one and try again."
        )
    if scan is not None and not (scan.final and scan.after == "repaired"):
        scan = None
    allocation = search(
        workbench.repairer,
        wanted,
        criterion=criterion,
        ranking=ranking,
        scan=scan,
        images=images,
        progress=tell,
    )
    plan = _with_picks(allocation.plan, decisions)
    label = f"best plan for {target:.0%} of the MACs"
    return exactly(decisions, frozenset(plan.dropped), label), allocation


def _with_picks(plan: Plan, decisions: Decisions) -> Plan:
    """The plan with what was picked by hand."""
    return plan.keep_units(decisions.kept).drop_units(decisions.dropped)

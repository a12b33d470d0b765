"""The best plan for a budget, for a person who decides: what was decided by hand stays."""

from __future__ import annotations

from collections.abc import Callable

from pruneviz.allocation import IMAGES, Allocation, search
from pruneviz.allocation.greedy import budget
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.sensitivity_result import Sensitivity
from pruneviz.session.decisions import Change, Decisions, only_group_ratios
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
        InvalidValueError: The target cannot be reached, or picks by hand leave less already.
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
    picked = cost(graph, Plan(graph).drop_units(decisions.dropped)).macs_ratio
    if picked < target and decisions.dropped:
        raise InvalidValueError(
            f"The {len(decisions.dropped)} manual picks already leave {picked:.1%} of the MACs, "
            f"less than {target:.0%}; clear manual picks on the page Rank, or lower the budget."
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
    label = f"best plan for {target:.0%} of the MACs"
    # As the groups' ratios, not as picks: sliders can change it, and the next search begins anew.
    ratios = {name: ratio for name, ratio in allocation.plan.ratios().items() if ratio}
    return only_group_ratios(decisions, ratios, label), allocation

"""The plan for a budget: which group loses how much, so that the whole loses least.

Each group's curve of repaired loss (`loss_curves`) says what pruning it alone costs. On the curves'
lower convex hulls, units go where a saved MAC costs the least loss, the MACs counted exactly for
the current plan, until the budget is met: the greedy solution of

    min_k  sum_g L_g(k_g)   such that   cost(k) <= budget,

optimal for convex L_g and separable costs. Losses of groups pruned together do not simply add, so
the plan is then compared with others of the same cost (from steeper and flatter curves, from one
ratio for all groups, from one threshold for all): all after the instant repair, the best two after
the full one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneviz.allocation.greedy import Budget, budget
from pruneviz.allocation.group_curves import GroupCurves, group_curves
from pruneviz.allocation.latency_target import LatencyTarget
from pruneviz.bars import bar
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria import Ranking, rank
from pruneviz.drawing import Shown
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.sensitivity_result import Sensitivity
from pruneviz.threshold import threshold

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet
    from pruneviz.repair import Repairer


BOLDNESS = (1.0, 0.5, 2.0)
"""Exponents of the curves that are tried."""
FULLY_REPAIRED = 2
"""Candidates that are repaired layer by layer, the best after the instant repair."""
IMAGES = 256


@dataclass(frozen=True)
class Candidate:
    """A plan that meets the budget; its accuracy and loss, fully repaired, on validation images."""

    name: str
    plan: Plan
    macs_ratio: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Allocation(Shown):
    """The best plan for a budget, what it was compared with at last, and the curves behind it."""

    plan: Plan
    candidates: tuple[Candidate, ...]
    scan: Sensitivity


def allocate(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    target_macs: float | None = None,
    target_params: float | None = None,
    target_latency: float | None = None,
    criterion: str = "reconstruction",
    ranking: Ranking | None = None,
    scan: Sensitivity | None = None,
    protected: Iterable[str] = (),
    images: int = IMAGES,
    progress: Callable[[float, str], None] | bool | None = None,
    **timing: Any,
) -> Plan:
    """Find the plan that loses least at a budget, by repaired sensitivity.

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels, from `trace`.
        data: Its training images rank and repair, its validation images decide. Nothing is trained.
        target_macs: The fraction of the MACs to keep, 0..1; or
        target_params: the fraction of the parameters; or
        target_latency: the milliseconds that a batch may take, measured on this machine. The plan
            is timed and corrected until it takes no more than that, but not much less.
        criterion: Orders the units within each group.
        ranking: A ranking that holds the criterion; made here if missing.
        scan: A repaired sensitivity scan by the same criterion; made here if missing.
        protected: Groups that must stay unpruned.
        images: The most validation images to measure plans on.
        progress: Called with the fraction done and the current activity; an exception from it ends
            the search. False for no bar.
        timing: For `target_latency`, options of `measure_latency`: `batch_size`, `threads`,
            `runtime`.

    Raises:
        InvalidValueError: No target or two, one outside 0..1, or one that cannot be reached.
        UnknownNameError: An unknown criterion or group.

    Example:
        >>> whole = [group.name for group in graph.prunable_groups][2:]
        >>> some = {"target_macs": 0.9, "criterion": "l1", "protected": whole, "images": 50}
        >>> plan = pv.allocate(model, graph, data, **some)
        >>> len(plan.by_group()), pv.cost(graph, plan).macs_ratio <= 0.9
        (2, True)
    """
    from pruneviz.repair import Repairer

    target = None
    if target_latency is None:
        if timing:
            raise InvalidValueError(f"{', '.join(timing)}: only for a target_latency.")
        wanted = budget(graph, target_macs, target_params, protected)
    elif target_macs is not None or target_params is not None:
        raise InvalidValueError(
            "An allocation needs one budget, but got target_latency and another."
        )
    else:
        target = LatencyTarget(model, graph, target_latency, timing)
        wanted = target.budget(protected)
    with bar("Allocating", None if callable(progress) else progress, "%") as tick:
        return search(
            Repairer(model, graph, data),
            wanted,
            criterion=criterion,
            ranking=ranking,
            scan=scan,
            images=images,
            latency=target,
            progress=progress
            if callable(progress)
            else lambda share, message: tick(round(100 * share), 100),
        ).plan


def search(
    repairer: Repairer,
    wanted: Budget,
    *,
    criterion: str,
    ranking: Ranking | None,
    scan: Sensitivity | None,
    images: int,
    progress: Callable[[float, str], None],
    latency: LatencyTarget | None = None,
) -> Allocation:
    """The candidates of a budget, the best of them repaired and measured; the best one's plan."""
    from pruneviz.training import evaluate

    model, graph, data = repairer.model, repairer.graph, repairer.data
    if ranking is None:
        progress(0.0, f"Ranking by {criterion}")
        ranking = rank(model, graph, data, [criterion])
    names = [g.name for g in wanted.groups]
    curves = group_curves(
        repairer, ranking, criterion, names, images=images, scan=scan,
        progress=lambda share, what: progress(0.7 * share, what),
    )  # fmt: skip
    if latency is not None:
        progress(0.7, "Timing plans")
        wanted = latency.settle(wanted, curves.plan)
    plans = candidates(wanted, ranking, criterion, curves)
    if latency is not None:
        plans = {name: p for name, p in plans.items() if latency.met(p)} or plans
    plans = _promising(repairer, plans, min(images, IMAGES // 2), progress)
    measured = []
    for index, (name, plan) in enumerate(plans.items()):
        progress(0.8 + 0.2 * index / len(plans), f"Repairing and measuring: {name}")
        worth = evaluate(repairer.full(plan).network, data, limit=images, progress=False)
        used = cost(graph, plan).macs_ratio
        measured.append(Candidate(name, plan, used, worth.accuracy, worth.loss))
    best = min(measured, key=lambda c: c.loss)
    return Allocation(best.plan, tuple(measured), curves.scan)


def _promising(
    repairer: Repairer,
    plans: dict[str, Plan],
    images: int,
    progress: Callable[[float, str], None],
) -> dict[str, Plan]:
    """The few plans that are best after the instant repair."""
    from pruneviz.training import evaluate

    losses = {}
    for index, (name, plan) in enumerate(plans.items()):
        progress(0.7 + 0.1 * index / len(plans), "Comparing plans")
        network = repairer.instant(plan).network
        losses[name] = evaluate(network, repairer.data, limit=images, progress=False).loss
    best = sorted(losses, key=losses.__getitem__)[:FULLY_REPAIRED]
    return {name: plans[name] for name in plans if name in best}


def candidates(
    wanted: Budget, ranking: Ranking, criterion: str, curves: GroupCurves
) -> dict[str, Plan]:
    """Plans that meet the budget, by name; equal plans once."""
    plans = {
        f"sensitivity curves, exponent {power:g}"
        if power != 1
        else "sensitivity curves": curves.plan(wanted, power)
        for power in BOLDNESS
    }
    safe = {g.name for g in wanted.graph.prunable_groups} - {g.name for g in wanted.groups}
    for scope in ("group", "global"):
        plan = _bisected(
            wanted,
            lambda ratio, scope=scope: threshold(  # type: ignore[misc]
                wanted.graph, ranking, criterion, ratio, scope, protected=safe
            ),
        )
        if plan is not None:
            plans["one ratio for all" if scope == "group" else "one threshold for all"] = plan
    return {name: p for i, (name, p) in enumerate(plans.items()) if p not in [*plans.values()][:i]}


def _bisected(wanted: Budget, plan_of: Callable[[float], Plan]) -> Plan | None:
    """The plan with the lowest ratio that meets the budget."""
    low, high = 0.0, 1.0
    if not wanted.met(plan_of(high)):
        return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if wanted.met(plan_of(middle)) else (middle, high)
    return plan_of(high)

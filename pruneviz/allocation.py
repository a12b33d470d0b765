"""The plan for a budget: which group loses how much, so that the whole loses least.

Each group's curve of repaired loss against ratio says what pruning it alone costs. On the curves'
lower convex hulls, units go where a saved MAC costs the least loss, the MACs counted exactly for
the plan as it stands, until the budget is met: the greedy solution of

    min_k  sum_g L_g(k_g)   such that   cost(k) <= budget,

optimal for convex L_g and separable costs. Losses of groups pruned together do not simply add, so
the plan is then held against others of the same cost (the same with bolder and flatter curves, one
ratio for all, one threshold for all), each repaired and measured whole; the best one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.bars import bar
from pruneviz.channels import ChannelGraph, Group
from pruneviz.cost import cost
from pruneviz.criteria import Ranking, rank
from pruneviz.drawing import Shown
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan, threshold
from pruneviz.sensitivity import Sensitivity, sensitivity

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet

FloatArray = npt.NDArray[np.float64]

RATIOS = (0.3, 0.6, 0.85)
STEPS = 32
"""Units go in steps of a group's width over this, at least one."""
BOLDNESS = (1.0, 0.5, 2.0)
"""Exponents of the curves that are tried."""
IMAGES = 256


@dataclass(frozen=True)
class Candidate:
    """A plan that meets the budget, and what it is worth repaired, on images for decisions."""

    name: str
    plan: Plan
    macs_ratio: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Allocation(Shown):
    """The best plan that was found, the others it was held against, and the curves behind it."""

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
    criterion: str = "fisher",
    ranking: Ranking | None = None,
    scan: Sensitivity | None = None,
    protected: Iterable[str] = (),
    images: int = IMAGES,
    progress: Callable[[float, str], None] | bool | None = None,
) -> Plan:
    """The plan that costs least accuracy at a budget, by repaired sensitivity.

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels, from `trace`.
        data: Training images rank and repair, validation images decide; none trains.
        target_macs: The fraction of the MACs that may be left, 0..1; or
        target_params: the fraction of the parameters.
        criterion: Orders the units within each group.
        ranking: A ranking that holds it; made here where there is none.
        scan: A repaired sensitivity scan by the same criterion; made here where there is none.
        protected: Groups that stay whole.
        images: Validation images that plans are measured on, at most.
        progress: Called with the fraction done and what is done now; what it raises ends the
            search. False for no bar.

    Raises:
        InvalidValueError: No target or two, one outside 0..1, or one that cannot be reached.
        UnknownNameError: An unknown criterion or group.

    >>> import pruneviz as pv
    >>> data = pv.load_dataset("digits")
    >>> model = pv.load_model("resnet20", weights="digits")
    >>> graph = pv.trace(model, data.input_shape)
    >>> plan = pv.allocate(model, graph, data, target_macs=0.5, images=100)  # doctest: +SKIP
    """
    wanted = budget(graph, target_macs, target_params, protected)
    with bar("Allocating", None if callable(progress) else progress, "%") as tick:
        return search(
            model,
            graph,
            data,
            wanted,
            criterion=criterion,
            ranking=ranking,
            scan=scan,
            images=images,
            progress=progress
            if callable(progress)
            else lambda share, message: tick(round(100 * share), 100),
        ).plan


@dataclass(frozen=True)
class Budget:
    """What may be left of the MACs or the parameters, and which groups may pay for it."""

    graph: ChannelGraph
    target: float
    of_macs: bool
    groups: tuple[Group, ...]

    def used(self, plan: Plan) -> float:
        """The fraction that a plan leaves, 0..1."""
        price = cost(self.graph, plan)
        return price.macs_ratio if self.of_macs else price.params_ratio

    def met(self, plan: Plan) -> bool:
        """Whether a plan leaves no more than the target."""
        return self.used(plan) <= self.target + 1e-12


def budget(
    graph: ChannelGraph,
    target_macs: float | None,
    target_params: float | None,
    protected: Iterable[str] = (),
) -> Budget:
    """Check a target and what may pay for it; see `allocate` for what is refused."""
    targets = [t for t in (target_macs, target_params) if t is not None]
    if len(targets) != 1:
        raise InvalidValueError(
            "An allocation needs one budget: give target_macs or target_params, a fraction of the "
            "unpruned network's."
        )
    target = targets[0]
    if isinstance(target, bool) or not isinstance(target, (int, float)) or not 0 < target <= 1:
        raise InvalidValueError(f"A budget is a fraction above 0 and up to 1, but got {target!r}.")
    safe = {graph.group(name).name for name in protected}
    groups = tuple(g for g in graph.prunable_groups if g.name not in safe)
    wanted = Budget(graph, float(target), target_macs is not None, groups)
    least = wanted.used(Plan(graph, [u for g in groups for u in list(g.units)[1:]]))
    if least > target:
        raise InvalidValueError(
            f"A budget of {target:.1%} cannot be reached: with one unit left in every group that "
            f"may be pruned, {least:.1%} are left."
        )
    return wanted


def search(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    wanted: Budget,
    *,
    criterion: str,
    ranking: Ranking | None,
    scan: Sensitivity | None,
    images: int,
    progress: Callable[[float, str], None],
) -> Allocation:
    """The candidates of a budget, each repaired and measured; the best one's plan."""
    from pruneviz.repair import Repairer
    from pruneviz.training import evaluate

    if ranking is None:
        progress(0.0, f"Ranking by {criterion}")
        ranking = rank(model, graph, data, [criterion])
    names = [g.name for g in wanted.groups]
    if scan is None:
        for grown in sensitivity(
            model, graph, data, ranking, criterion, RATIOS, images=images, groups=names
        ):
            scan = grown
            progress(0.7 * scan.progress, "Measuring every group, repaired")
    assert scan is not None
    plans = candidates(wanted, ranking, criterion, scan)
    repairer = Repairer(model, graph, data)
    measured = []
    for index, (name, plan) in enumerate(plans.items()):
        progress(0.7 + 0.3 * index / len(plans), f"Repairing and measuring {name}")
        worth = evaluate(repairer.full(plan).network, data, limit=images)
        used = cost(graph, plan).macs_ratio
        measured.append(Candidate(name, plan, used, worth.accuracy, worth.loss))
    best = min(measured, key=lambda c: c.loss)
    return Allocation(best.plan, tuple(measured), scan)


def candidates(
    wanted: Budget, ranking: Ranking, criterion: str, scan: Sensitivity
) -> dict[str, Plan]:
    """Plans that meet the budget, by name; equal plans once."""
    plans = {
        f"curves to the power of {power:g}" if power != 1 else "curves": greedy(
            wanted, ranking.of(criterion), scan, power
        )
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


def hull(ratios: FloatArray, losses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lower convex hull of rising points: (x, y) of its corners, from the first point on."""
    corners: list[tuple[float, float]] = []
    for x, y in zip(ratios.tolist(), np.maximum.accumulate(losses).tolist(), strict=True):
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (y1 - y0) * (x - x0) <= (y - y0) * (x1 - x0):
                break
            corners.pop()
        corners.append((x, y))
    xs, ys = zip(*corners, strict=True)
    return np.array(xs), np.array(ys)


def greedy(wanted: Budget, scores: FloatArray, scan: Sensitivity, power: float = 1.0) -> Plan:
    """Let units go where they cost the least loss for what they save, until the budget is met."""
    curves = {g.name: _curve(scan, g, power) for g in wanted.groups}
    order = {
        g.name: g.start + np.argsort(scores[g.start : g.start + g.width], kind="stable")
        for g in wanted.groups
    }
    gone = {g.name: 0 for g in wanted.groups}

    def plan_of(counts: dict[str, int]) -> Plan:
        units = [order[name][:count] for name, count in counts.items()]
        return Plan(wanted.graph, np.concatenate(units).tolist() if units else ())

    plan = plan_of(gone)
    used = wanted.used(plan)
    while not wanted.met(plan):
        best: tuple[float, str, int, Plan, float] | None = None
        for group, count in _next(wanted.groups, gone):
            then = plan_of({**gone, group.name: count})
            left = wanted.used(then)
            if left >= used:
                continue
            lost = curves[group.name](count / group.width) - curves[group.name](
                gone[group.name] / group.width
            )
            price = lost / (used - left)
            if best is None or price < best[0]:
                best = price, group.name, count, then, left
        if best is None:
            break
        _, name, count, plan, used = best
        gone[name] = count
    else:
        return _last_step_back(wanted, gone, plan_of)
    return plan


def _next(groups: Iterable[Group], gone: dict[str, int]) -> Iterator[tuple[Group, int]]:
    for group in groups:
        count = min(gone[group.name] + max(1, group.width // STEPS), group.width - 1)
        if count > gone[group.name]:
            yield group, count


def _last_step_back(
    wanted: Budget, gone: dict[str, int], plan_of: Callable[[dict[str, int]], Plan]
) -> Plan:
    """Bring units back, one at a time and group by group, as far as the budget allows."""
    plan = plan_of(gone)
    for name in sorted(gone, key=lambda n: -gone[n]):
        for _ in range(gone[name]):
            fewer = {**gone, name: gone[name] - 1}
            fuller = plan_of(fewer)
            if not wanted.met(fuller):
                break
            gone, plan = fewer, fuller
    return plan


def _curve(scan: Sensitivity, group: Group, power: float) -> Callable[[float], float]:
    """What a group's ratio adds to the loss: on the hull, beyond it along its last slope."""
    points = [p for p in scan.curve(group.name) if p.images]
    x = np.array([0.0, *(p.removed / p.width for p in points)])
    base = scan.baseline_loss
    y = np.array([0.0, *(max(0.0, p.loss - base) for p in points)])
    x, y = hull(*(a[np.unique(x, return_index=True)[1]] for a in (x, y)))
    # A little for every unit: of groups that lose nothing, all give alike.
    y = y**power + 1e-4 * x

    def value(ratio: float) -> float:
        if ratio <= x[-1] or len(x) < 2:
            return float(np.interp(ratio, x, y))
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        return float(y[-1] + 2 * slope * (ratio - x[-1]))

    return value

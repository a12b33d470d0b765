"""The greedy plan for a budget, on the groups' curves of loss against pruning ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pruneviz.allocation.loss_curves import loss_curve
from pruneviz.channels import ChannelGraph, Group, IntArray
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan, from_kept
from pruneviz.sensitivity_result import Sensitivity

FloatArray = npt.NDArray[np.float64]
STEPS = 32
"""Units go in steps of a group's width over this, at least one."""


@dataclass(frozen=True)
class Budget:
    """The fraction of the MACs, parameters or time that may be left, and the groups to prune."""

    graph: ChannelGraph
    target: float
    groups: tuple[Group, ...]
    used: Callable[[Plan], float]
    """The fraction that a plan leaves, 0..1."""

    @property
    def narrowest(self) -> Plan:
        """One unit left in every group that may be pruned."""
        return Plan(self.graph, [u for g in self.groups for u in list(g.units)[1:]])

    def met(self, plan: Plan) -> bool:
        """Whether a plan leaves no more than the target."""
        return self.used(plan) <= self.target + 1e-12


def budget(
    graph: ChannelGraph,
    target_macs: float | None,
    target_params: float | None,
    protected: Iterable[str] = (),
) -> Budget:
    """Check a target and the groups that may be pruned for it; errors are those of `allocate`."""
    targets = [t for t in (target_macs, target_params) if t is not None]
    if len(targets) != 1:
        raise InvalidValueError(
            "An allocation needs one budget: target_macs or target_params, a fraction of the "
            "unpruned network's, or target_latency in milliseconds."
        )
    target = targets[0]
    if isinstance(target, bool) or not isinstance(target, (int, float)) or not 0 < target <= 1:
        raise InvalidValueError(f"A budget is a fraction above 0 and up to 1, but got {target!r}.")
    used = macs_left if target_macs is not None else params_left
    wanted = Budget(graph, float(target), unprotected(graph, protected), used)
    least = used(wanted.narrowest)
    if least > target:
        raise InvalidValueError(
            f"A budget of {target:.1%} cannot be reached: with one unit left in every group that "
            f"may be pruned, {least:.1%} are left."
        )
    return wanted


def unprotected(graph: ChannelGraph, protected: Iterable[str]) -> tuple[Group, ...]:
    """The groups that may be pruned; UnknownNameError where a protected one does not exist."""
    safe = {graph.group(name).name for name in protected}
    return tuple(g for g in graph.prunable_groups if g.name not in safe)


def macs_left(plan: Plan) -> float:
    """The fraction of the MACs that a plan leaves."""
    return cost(plan.graph, plan).macs_ratio


def params_left(plan: Plan) -> float:
    """The fraction of the parameters that a plan leaves."""
    return cost(plan.graph, plan).params_ratio


def greedy(
    wanted: Budget,
    scores: FloatArray,
    scan: Sensitivity,
    power: float = 1.0,
    errors: FloatArray | None = None,
) -> Plan:
    """Prune where a saved MAC or parameter costs the least loss, until the budget is met.

    Args:
        wanted: The budget, and the groups to prune.
        scores: (num_units,) the order within each group: the lowest go first.
        scan: Repaired losses of each group pruned alone, in this order.
        power: Exponent of the curves.
        errors: (num_units,) the error that remains after a refit when a unit goes and those before
            it are gone, where it is known; NaN elsewhere.
    """
    order = {
        g.name: g.start + np.argsort(scores[g.start : g.start + g.width], kind="stable")
        for g in wanted.groups
    }
    curves = {g.name: _curve(scan, g, power, errors, order[g.name]) for g in wanted.groups}
    gone = {g.name: 0 for g in wanted.groups}

    def plan_of(counts: dict[str, int]) -> Plan:
        kept = np.ones(wanted.graph.num_units, dtype=bool)
        for name, count in counts.items():
            kept[order[name][:count]] = False
        return from_kept(wanted.graph, kept)

    plan = plan_of(gone)
    used = wanted.used(plan)
    while not wanted.met(plan):
        best: tuple[float, str, int, Plan, float] | None = None
        for group, count in _next(wanted.groups, gone):
            then = plan_of({**gone, group.name: count})
            left = wanted.used(then)
            if left >= used:
                continue
            curve = curves[group.name]
            price = (curve(count) - curve(gone[group.name])) / (used - left)
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


def _curve(
    scan: Sensitivity, group: Group, power: float, errors: FloatArray | None, order: IntArray
) -> Callable[[int], float]:
    """What pruning a number of units adds to the loss."""
    points = {p.removed: p.loss for p in scan.curve(group.name) if p.images and p.removed}
    known = None if errors is None else errors[order]
    if known is not None and np.isnan(known).any():
        known = None
    gone = np.array(sorted(points), dtype=float)
    losses = np.array([points[int(k)] - scan.baseline_loss for k in gone])
    return loss_curve(gone, losses, group.width, known, power)

"""Plans to compare: a few budgets, and for each of them plans that differ in what they prune."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import number, whole
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria import Ranking
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan

BUDGETS = (0.65, 0.5, 0.35, 0.2)
NEAR = 0.03
"""Plans of a budget leave at most this fraction of it less, or more."""
ORIGINS = ("random", "l2", "fisher")
BISECTIONS = 24
TRIES = 50


def draw_plans(
    graph: ChannelGraph,
    ranking: Ranking,
    count: int,
    budgets: Sequence[float] = BUDGETS,
    seed: int = 0,
) -> Iterator[tuple[str, float, Plan]]:
    """Draw plans: their origin, their budget (fraction of the MACs), the plan.

    Budgets and origins take turns. Each group g gets a share u_g, uniform in 0..1; all shares are
    scaled by one factor until the plan leaves the budget's MACs. Which units of a group go is
    random, or the criterion decides.

    Raises:
        InvalidValueError: Fewer than one plan, or a network so narrow that a budget is not met.
    """
    whole("The number of plans", count)
    if not budgets:
        raise InvalidValueError("A trust study needs at least one budget, but got none.")
    for budget in budgets:
        number("A budget", budget, 0.01, 0.99)
    rng = np.random.default_rng(seed)
    for index in range(count):
        budget = budgets[index % len(budgets)]
        origin = ORIGINS[index // len(budgets) % len(ORIGINS)]
        yield origin, budget, _draw(graph, ranking, origin, budget, rng)


def _draw(
    graph: ChannelGraph, ranking: Ranking, origin: str, budget: float, rng: np.random.Generator
) -> Plan:
    groups = graph.prunable_groups
    for _ in range(TRIES):
        shares = rng.uniform(0, 1, len(groups))
        scores = rng.random(graph.num_units) if origin == "random" else ranking.of(origin)
        orders = [g.start + np.argsort(scores[g.start : g.start + g.width]) for g in groups]

        def plan_at(scale: float, shares: npt.NDArray[np.float64] = shares) -> Plan:
            gone = [
                order[: min(round(min(1.0, scale * share) * len(order)), len(order) - 1)]
                for share, order in zip(shares, orders, strict=True)  # noqa: B023
            ]
            return Plan(graph, np.concatenate(gone))

        plan = _bisect(plan_at, lambda plan: cost(graph, plan).macs_ratio, budget)
        if abs(cost(graph, plan).macs_ratio / budget - 1) <= NEAR:
            return plan
    raise InvalidValueError(
        f"No plan of this network leaves {budget:.0%} of its MACs within {NEAR:.0%}: its groups "
        "are too few, or too narrow."
    )


def _bisect(plan_at: Callable[[float], Plan], macs: Callable[[Plan], float], budget: float) -> Plan:
    low, high = 0.0, 4.0
    best = plan_at(high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        plan = plan_at(middle)
        left = macs(plan)
        if abs(left - budget) < abs(macs(best) - budget):
            best = plan
        low, high = (middle, high) if left > budget else (low, middle)
    return best

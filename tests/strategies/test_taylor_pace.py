"""How far a removal goes: never past the target, in equal steps, or by a number of units."""

from __future__ import annotations

import numpy as np
import pytest

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies.budget import Target, by_score
from pruneviz.strategies.taylor_pace import ITERATIONS, Pace, pace_of


def walked(graph: ChannelGraph, target: Target, pace: Pace) -> list[Plan]:
    """The plans of all removals until the target is met."""
    scores = np.random.default_rng(0).random(graph.num_units)
    plans, iteration = [Plan(graph)], 0
    while not target.met(graph, plans[-1]):
        order = by_score(graph, scores, plans[-1])
        plan, iteration = pace.next_plan(graph, target, order, plans[-1], iteration)
        plans.append(plan)
    return plans


def test_equal_shrinkage_takes_as_many_removals_as_asked_for_at_most(graph: ChannelGraph) -> None:
    plans = walked(graph, Target(macs=0.3), Pace(iterations=4))
    assert len(plans) - 1 <= 4
    ratios = [cost(graph, plan).macs_ratio for plan in plans]
    assert ratios == sorted(ratios, reverse=True)
    assert all(ratio <= 0.3 ** (step / 4) for step, ratio in enumerate(ratios))


def test_units_at_a_time_stop_where_the_target_is_met(graph: ChannelGraph) -> None:
    plans = walked(graph, Target(macs=0.6), Pace(remove_each=3))
    sizes = [len(plan) for plan in plans]
    steps = np.diff(sizes).tolist()
    assert steps[:-1] == [3] * (len(steps) - 1)
    assert 1 <= steps[-1] <= 3
    scores = np.random.default_rng(0).random(graph.num_units)
    fewer = by_score(graph, scores)[: sizes[-1] - 1]
    assert not Target(macs=0.6).met(graph, Plan(graph, fewer.tolist()))


def test_the_pace_follows_from_the_options(graph: ChannelGraph) -> None:
    limited, free = Target(macs=0.5), Target()
    assert pace_of(graph, limited, None, None) == Pace(iterations=ITERATIONS)
    assert pace_of(graph, limited, 2, None) == Pace(remove_each=2)
    units = int(graph.prunable.sum())
    assert pace_of(graph, free, None, None) == Pace(remove_each=max(1, units // (2 * ITERATIONS)))
    with pytest.raises(InvalidValueError, match="leave one out"):
        pace_of(graph, limited, 2, 3)
    with pytest.raises(InvalidValueError, match="iterations needs a target"):
        pace_of(graph, free, None, 3)

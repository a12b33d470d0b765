"""How far to go: orders, and the shortest prefix that meets a target."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies.budget import Target, by_ratio, by_score, reach
from pruneviz.threshold import threshold


class Scored:
    """A ranking with one criterion."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores

    def of(self, criterion: str) -> np.ndarray:
        return self.scores

    comparable = of


@pytest.fixture
def scores(graph: ChannelGraph) -> np.ndarray:
    return np.random.default_rng(0).random(graph.num_units)


def prefixes(graph: ChannelGraph, order: np.ndarray) -> set[tuple[int, ...]]:
    return {Plan(graph, order[:n].tolist()).dropped for n in range(len(order) + 1)}


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.4, 0.5, 0.77])
def test_orders_pass_through_the_plans_of_threshold(
    ratio: float, graph: ChannelGraph, scores: np.ndarray
) -> None:
    ranking = Scored(scores)
    alike = threshold(graph, ranking, "x", ratio, scope="group")
    assert alike.dropped in prefixes(graph, by_ratio(graph, scores))
    wide = threshold(graph, ranking, "x", ratio, scope="global")
    assert wide.dropped in prefixes(graph, by_score(graph, scores))
    names = [g.name for g in graph.prunable_groups]
    shares = dict(zip(names, (1.0, 0.5, 0.25), strict=False))
    mixed = threshold(graph, ranking, "x", {n: ratio * s for n, s in shares.items()})
    assert mixed.dropped in prefixes(graph, by_ratio(graph, scores, shares))


def test_orders_leave_one_unit_everywhere(graph: ChannelGraph, scores: np.ndarray) -> None:
    for order in (by_score(graph, scores), by_ratio(graph, scores)):
        left = Plan(graph, order.tolist()).kept
        for group in graph.prunable_groups:
            assert left[list(group.units)].sum() == 1
            own = scores[list(group.units)]
            assert left[group.start + int(own.argmax())]


def test_orders_go_on_from_a_plan(graph: ChannelGraph, scores: np.ndarray) -> None:
    for make in (by_score, by_ratio):
        whole = make(graph, scores)
        begun = Plan(graph, whole[:5].tolist())
        assert make(graph, scores, plan=begun).tolist() == whole[5:].tolist()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_reach_is_the_shortest_prefix(
    share: float, graph: ChannelGraph, scores: np.ndarray
) -> None:
    order = by_score(graph, scores)
    target = Target(macs=share)
    slow = next(
        plan
        for n in range(len(order) + 1)
        if cost(graph, plan := Plan(graph, order[:n].tolist())).macs_ratio <= share
    )
    assert reach(graph, order, target) == slow
    params = reach(graph, order, Target(params=share))
    assert cost(graph, params).params_ratio <= share
    both = reach(graph, order, Target(macs=share, params=share))
    assert len(both) == max(len(slow), len(params))


def test_what_cannot_be_met_is_refused(graph: ChannelGraph, scores: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match=r"leaves .* of the MACs"):
        reach(graph, by_score(graph, scores), Target(macs=1e-4))
    with pytest.raises(InvalidValueError, match="above 0 and at most 1, but got 0"):
        Target(macs=0)
    assert reach(graph, by_score(graph, scores), Target(macs=1)) == Plan(graph)


def test_groups_with_ratio_zero_stay_whole(
    model: nn.Module, graph: ChannelGraph, scores: np.ndarray
) -> None:
    order = by_ratio(graph, scores, {"wide": 1.0})
    assert {graph.group_of(u).name for u in order.tolist()} == {"wide"}
    assert len(order) == graph.group("wide").width - 1

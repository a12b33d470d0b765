"""A budget in milliseconds: predicted by hand, corrected by what is measured, refused in words."""

from __future__ import annotations

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.errors import InvalidValueError
from pruneviz.greedy import Budget
from pruneviz.latency.groups import GroupTimes, group_times
from pruneviz.latency_target import LatencyTarget
from tests.repair.helpers import images_of, two_layers


@pytest.fixture(scope="module")
def graph() -> pv.ChannelGraph:
    return pv.trace(two_layers(norm=True, bias=False, exact=False), (3, 16, 16))


def test_the_prediction_by_hand(graph: pv.ChannelGraph) -> None:
    first, second = graph.prunable_groups
    curves = {
        first.name: ((1, first.width), (0.5, 1.0)),
        second.name: ((1, second.width), (0.8, 1.0)),
    }
    times = GroupTimes(0.004, curves)
    assert times.of(pv.Plan(graph)) == 0.004
    narrow = pv.Plan(graph, [*list(first.units)[1:], *list(second.units)[1:]])
    assert times.of(narrow) == pytest.approx(0.004 * 0.5 * 0.8)
    half = pv.Plan(graph, list(first.units)[: first.width // 2])
    left = np.interp(first.width - first.width // 2, (1, first.width), (0.5, 1.0))
    assert times.ratio(half) == pytest.approx(left)


def test_measured_curves_never_rise_as_a_group_gets_narrower(graph: pv.ChannelGraph) -> None:
    model = two_layers(norm=True, bias=False, exact=False)
    times = group_times(model, graph, graph.prunable_groups, repeats=3, seconds=0.05)
    assert set(times.curves) == {g.name for g in graph.prunable_groups}
    for name, (widths, fractions) in times.curves.items():
        assert widths[-1] == graph.group(name).width
        assert list(widths) == sorted(widths)
        assert list(fractions) == sorted(fractions)
        assert fractions[-1] == 1.0


class Clockwork(LatencyTarget):
    """Takes, instead of a machine, 10 ms times the square of what the model predicts."""

    def measure(self, plan: pv.Plan) -> float:
        return 10 * (len(plan.kept[plan.kept]) / plan.graph.num_units) ** 2


def test_the_budget_is_corrected_until_the_measured_time_fits(graph: pv.ChannelGraph) -> None:
    model = two_layers(norm=True, bias=False, exact=False)
    target = Clockwork(model, graph, 4.0)
    groups = tuple(graph.prunable_groups)

    def used(plan: pv.Plan) -> float:
        return float(plan.kept.mean())

    last = {g.units[-1] for g in groups}  # a unit must stay in each

    def plan_of(budget: Budget) -> pv.Plan:
        gone = range(round((1 - budget.target) * graph.num_units))
        return pv.Plan(graph, set(gone) - last)

    start = Budget(graph, 0.4, groups, used)  # predicts 4 of 10 ms, but takes 1.6
    settled = target.settle(start, plan_of)
    taken = target.measure(plan_of(settled))
    assert taken <= 4.0
    assert taken > target.measure(plan_of(start))
    late = Budget(graph, 0.9, groups, used)  # takes 8.1 ms
    assert target.measure(plan_of(target.settle(late, plan_of))) <= 4.0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target_latency": 0}, "target_latency"),
        ({"target_latency": float("nan")}, "target_latency"),
        ({"target_latency": 1.0, "target_macs": 0.5}, "needs one budget"),
        ({"target_macs": 0.5, "batch_size": 2}, "batch_size: only for a target_latency"),
        ({"target_latency": 1e-5}, "cannot be reached"),
    ],
)
def test_refusals(graph: pv.ChannelGraph, options: dict[str, float], match: str) -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 32)
    with pytest.raises(InvalidValueError, match=match):
        pv.allocate(model, graph, data, progress=False, **options)


def test_a_generous_target_prunes_nothing() -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 48)
    graph = pv.trace(model, (3, 16, 16))
    asked = {"target_latency": 60_000.0, "criterion": "l1", "images": 24, "progress": False}
    assert len(pv.allocate(model, graph, data, **asked)) == 0

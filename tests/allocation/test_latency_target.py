"""A budget in milliseconds: predicted by hand, corrected by what is measured, refused in words."""

from __future__ import annotations

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.allocation import latency_target
from pruneviz.allocation.greedy import Budget
from pruneviz.allocation.latency_target import LatencyTarget
from pruneviz.errors import InvalidValueError
from pruneviz.latency import BASELINE, PRUNED, Latency, Timing
from pruneviz.latency.groups import LEAST, GroupTimes, falling, group_times
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


def test_a_width_that_saves_no_time_still_counts_for_a_little() -> None:
    flat = falling((1, 8, 16, 32), (0.9, 1.2, 0.95, 1.0))
    assert flat[-1] == 1.0
    assert flat[2] == 0.95
    assert flat[1] == pytest.approx(0.95 - LEAST / 4)
    assert flat[0] == 0.9
    assert falling((1, 32), (1.1, 1.0))[0] == pytest.approx(1 - LEAST * 31 / 32)


class Clockwork(LatencyTarget):
    """Takes, instead of a machine, 10 ms times the square of what the model predicts."""

    unpruned = 10.0

    def ratio(self, plan: pv.Plan) -> float:
        return _kept(plan) ** 2


class Steps(LatencyTarget):
    """Takes 2 ms for every eighth of the units that is begun, and so jumps."""

    unpruned = 17.0

    def ratio(self, plan: pv.Plan) -> float:
        return (2 * float(np.ceil(8 * _kept(plan))) + _kept(plan)) / 17


@pytest.mark.parametrize("kind", [Clockwork, Steps])
@pytest.mark.parametrize("start", [0.25, 0.6, 0.95])
def test_the_search_closes_in_from_both_sides(
    graph: pv.ChannelGraph, kind: type[LatencyTarget], start: float
) -> None:
    free = [u for g in graph.prunable_groups for u in list(g.units)[:-1]]

    def plan_of(budget: Budget) -> pv.Plan:
        return pv.Plan(graph, free[: round((1 - budget.target) * graph.num_units)])

    model = two_layers(norm=True, bias=False, exact=False)
    every = [plan_of(Budget(graph, t / 100, (), _kept)) for t in range(1, 101)]
    ratios = [kind(model, graph, 1.0).ratio(plan) for plan in every]
    for part in (0.2, 0.5, 0.8):
        wanted_ratio = min(ratios) + part * (max(ratios) - min(ratios))
        target = kind(model, graph, wanted_ratio * kind.unpruned)
        wanted = Budget(graph, start, tuple(graph.prunable_groups), _kept)
        taken = target.ratio(plan_of(target.settle(wanted, plan_of)))
        best = max(ratio for ratio in ratios if ratio <= wanted_ratio)
        assert 0.95 * best <= taken <= wanted_ratio


def _kept(plan: pv.Plan) -> float:
    return float(plan.kept.mean())


def test_a_machine_that_is_twice_as_slow_meanwhile_changes_nothing(
    graph: pv.ChannelGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowness = iter((2.0, 1.0, 3.0))

    def timed(model: object, graph: pv.ChannelGraph, plan: pv.Plan, **options: object) -> Latency:
        by = next(slowness)
        pairs = [(BASELINE, 0.010), (PRUNED, 0.006)][: 2 if len(plan) else 1]
        return Latency(tuple(Timing(n, (by * s,)) for n, s in pairs), (3, 16, 16), 1, 1)

    monkeypatch.setattr(latency_target, "latency", timed)
    target = LatencyTarget(two_layers(norm=True, bias=False, exact=False), graph, 6.1)
    plan = pv.Plan(graph, [graph.prunable_groups[0].units[0]])
    assert target.unpruned == pytest.approx(20)
    assert target.ratio(plan) == pytest.approx(0.6)
    assert target.unpruned == pytest.approx(10), "the quickest measurement tells"
    assert target.met(plan)


def test_a_plan_that_takes_far_less_than_asked_is_not_the_one(graph: pv.ChannelGraph) -> None:
    some = pv.Plan(graph, [graph.prunable_groups[0].units[0]])
    model = two_layers(norm=True, bias=False, exact=False)
    taken = 10 * Clockwork(model, graph, 1.0).ratio(some)
    assert Clockwork(model, graph, taken).met(some)
    assert not Clockwork(model, graph, taken / 1.1).met(some), "slower than asked"
    assert not Clockwork(model, graph, taken * 1.2).met(some), "pruned more than asked"
    assert Clockwork(model, graph, 60_000).met(pv.Plan(graph)), "nothing to prune"


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
    taken = target.ratio(plan_of(settled))
    assert taken <= 0.4
    assert taken > target.ratio(plan_of(start))
    late = Budget(graph, 0.9, groups, used)  # takes 8.1 ms
    assert target.ratio(plan_of(target.settle(late, plan_of))) <= 0.4


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

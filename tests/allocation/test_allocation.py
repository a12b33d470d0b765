"""The plan for a budget: it meets it, and it is the best of its candidates."""

from __future__ import annotations

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.allocation import Allocation, search
from pruneviz.allocation.greedy import budget, greedy
from pruneviz.criteria import Ranking
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.repair import Repairer
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint
from tests.repair.helpers import images_of, two_layers


@pytest.fixture(scope="module")
def case() -> tuple[pv.ChannelGraph, Ranking]:
    graph = pv.trace(two_layers(norm=True, bias=False, exact=False), (3, 16, 16))
    return graph, Ranking(graph, {"index": np.arange(graph.num_units, dtype=float)})


def scan_of(graph: pv.ChannelGraph, losses: dict[str, tuple[float, ...]]) -> Sensitivity:
    """A scan in which pruning a group to 25, 50 and 75 % adds these losses."""
    points = []
    for group in graph.prunable_groups:
        for ratio, loss in zip((0.25, 0.5, 0.75), losses[group.name], strict=True):
            gone = round(ratio * group.width)
            points.append(
                SensitivityPoint(group.name, ratio, gone, group.width, 5, 10, 1 + loss, 0, 0.0)
            )
    ratios = (0.25, 0.5, 0.75)
    return Sensitivity("index", "val", 9, 1.0, 10, 10, ratios, tuple(points), (), True, "repaired")


def test_units_go_where_a_saved_mac_costs_least(case: tuple[pv.ChannelGraph, Ranking]) -> None:
    graph, ranking = case
    first, second = (g.name for g in graph.prunable_groups)
    cheap = scan_of(graph, {first: (0.0, 0.0, 0.1), second: (5.0, 9.0, 20.0)})
    plan = greedy(budget(graph, 0.6, None), ranking.of("index"), cheap)
    gone = {name: len(units) for name, units in plan.by_group().items()}
    assert gone.get(second, 0) == 0
    assert pv.cost(graph, plan).macs_ratio <= 0.6
    fuller = plan.keep_units([max(plan.dropped)])
    assert pv.cost(graph, fuller).macs_ratio > 0.6, "no unit more than the budget asks for"
    dear = scan_of(graph, {first: (5.0, 9.0, 20.0), second: (0.0, 0.0, 0.0)})
    other = greedy(budget(graph, 0.85, None), ranking.of("index"), dear)
    assert len(other.by_group()[second]) >= 1


def test_protected_groups_stay_and_parameters_can_be_the_budget(
    case: tuple[pv.ChannelGraph, Ranking],
) -> None:
    graph, ranking = case
    first, second = (g.name for g in graph.prunable_groups)
    flat = scan_of(graph, {first: (1.0, 2.0, 3.0), second: (1.0, 2.0, 3.0)})
    plan = greedy(budget(graph, None, 0.7, [second]), ranking.of("index"), flat)
    assert set(plan.by_group()) == {first}
    assert pv.cost(graph, plan).params_ratio <= 0.7


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "needs one budget"),
        ({"target_macs": 0.5, "target_params": 0.5}, "needs one budget"),
        ({"target_macs": 0.0}, "above 0 and up to 1"),
        ({"target_macs": 1.5}, "above 0 and up to 1"),
        ({"target_macs": "half"}, "above 0 and up to 1"),
        ({"target_macs": 0.001}, "cannot be reached"),
    ],
)
def test_refusals(
    case: tuple[pv.ChannelGraph, Ranking], options: dict[str, float], match: str
) -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 32)
    with pytest.raises(InvalidValueError, match=match):
        pv.allocate(model, case[0], data, **options)


def test_unknown_groups_and_criteria(case: tuple[pv.ChannelGraph, Ranking]) -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 32)
    with pytest.raises(UnknownNameError):
        pv.allocate(model, case[0], data, target_macs=0.5, protected=["nowhere"])
    with pytest.raises(UnknownNameError):
        pv.allocate(model, case[0], data, target_macs=0.5, criterion="l7")


def test_the_best_candidate_is_taken_and_the_original_stays() -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 48)
    graph = pv.trace(model, (3, 16, 16))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    told: list[float] = []
    found = search(
        Repairer(model, graph, data), budget(graph, 0.5, None), criterion="l1", ranking=None,
        scan=None, images=24, progress=lambda share, _: told.append(share),
    )  # fmt: skip
    assert isinstance(found, Allocation)
    assert all(pv.cost(graph, c.plan).macs_ratio <= 0.5 for c in found.candidates)
    assert found.plan == min(found.candidates, key=lambda c: c.loss).plan
    assert len({c.plan for c in found.candidates}) == len(found.candidates) >= 2
    assert told == sorted(told)
    assert all((before[k] == v).all() for k, v in model.state_dict().items())
    again = pv.allocate(model, graph, data, target_macs=0.5, criterion="l1", images=24)
    assert again == found.plan

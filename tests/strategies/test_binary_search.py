"""Binary search: few trials, the largest number that holds, the accuracy of the original."""

from __future__ import annotations

import math

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph, Group
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import StrategyEvent, binary_search, run_strategy
from pruneviz.strategies.run import Run
from pruneviz.training import evaluate

QUICK = {"epochs": 0, "updates": 1, "update_batch": 16}


def trials(events: list[StrategyEvent]) -> list[StrategyEvent]:
    return [e for e in events if e.phase == "search"]


@pytest.mark.parametrize("tolerance", [0.0, 0.2, 1.0])
def test_number_of_trials_is_bounded(
    tolerance: float, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_strategy("binary_search", model, graph, data, tolerance=tolerance, **QUICK))
    bound = sum(math.ceil(math.log2(g.width + 1)) for g in graph.prunable_groups)
    assert len(graph.prunable_groups) <= len(trials(events)) <= bound


def test_everything_goes_where_everything_is_tolerated(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_strategy("binary_search", model, graph, data, tolerance=1.0, **QUICK))
    assert events[-1].units_left == len(graph.prunable_groups)


def test_accuracy_of_the_original_is_kept(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    goal = evaluate(model, data).accuracy - 0.05
    events = list(run_strategy("binary_search", model, graph, data, tolerance=0.05, **QUICK))
    assert all(e.accuracy >= goal for e in events)
    assert events[-1].units_left < events[0].units_left or len(events) > 1


@pytest.mark.parametrize("limits", [(0, 0, 0), (4, 3, 7), (5, 5, 11), (2, 0, 10)])
@pytest.mark.parametrize("order", ["forward", "backward"])
def test_the_largest_number_that_holds_is_found(
    limits: tuple[int, ...],
    order: str,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With trials that hold up to a known number, bisection ends at that number exactly."""
    known = {g.name: n for g, n in zip(graph.prunable_groups, limits, strict=True)}
    known = {n: min(v, graph.group(n).width - 1) for n, v in known.items()}
    asked: list[tuple[str, int]] = []

    def trial(run: Run, options: object, group: Group, count: int) -> tuple[bool, float, float]:
        asked.append((group.name, count))
        holds = count <= known[group.name]
        if holds:
            start = Plan.from_json(run.graph, run.memory["plan"])
            run.shrink(start.drop_units(group.units[:count]))
        return holds, 0.5, 0.0

    monkeypatch.setattr(binary_search, "_trial", trial)
    events = list(run_strategy("binary_search", model, graph, data, order=order, **QUICK))
    found = {n: len(u) for n, u in Plan.from_json(graph, events[-1].plan).by_group().items()}
    assert found == {n: v for n, v in known.items() if v}
    names = [name for name, _ in asked]
    forward = [g.name for g in graph.prunable_groups]
    visited = list(dict.fromkeys(names))
    assert visited == (forward if order == "forward" else forward[::-1])
    for group in graph.prunable_groups:
        assert names.count(group.name) <= math.ceil(math.log2(group.width))


def test_a_macs_target_ends_the_search(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    free = list(run_strategy("binary_search", model, graph, data, tolerance=1.0, **QUICK))
    ended = list(
        run_strategy("binary_search", model, graph, data, tolerance=1.0, target_macs=0.9, **QUICK)
    )
    assert len(trials(ended)) < len(trials(free))
    assert ended[-1].macs > free[-1].macs

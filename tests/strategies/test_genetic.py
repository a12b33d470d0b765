"""Genetic: a front that nothing beats, better than chance, the same whenever it is interrupted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import StrategyEvent, find_strategy, run_strategy
from pruneviz.strategies.genetic import (
    Options,
    cheapest_gone,
    first_genes,
    repaired,
    smallest_gone,
)
from pruneviz.strategies.run import Run
from pruneviz.surgery import mask
from pruneviz.training import evaluate

QUICK = {"epochs": 0, "epochs_before": 0, "population": 8, "generations": 4, "images": None}


def searched(
    model: nn.Module, graph: ChannelGraph, data: DataSet, **options: object
) -> list[StrategyEvent]:
    events = list(run_strategy("genetic", model, graph, data, **{**QUICK, **options}))
    return [e for e in events if e.phase == "search"]


def test_fronts_are_non_dominated_and_true(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    for event in searched(model, graph, data):
        macs = [p.macs for p in event.front]
        accuracy = [p.accuracy for p in event.front]
        assert macs == sorted(set(macs))
        assert accuracy == sorted(set(accuracy))
        for point in event.front:
            plan = point.plan(graph)
            assert plan.by_group() == point.dropped
            assert cost(graph, plan).macs == point.macs
            measured = evaluate(mask(model, graph, plan), data).accuracy
            assert measured == pytest.approx(point.accuracy)


def test_fronts_get_no_worse(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    events = searched(model, graph, data, population=12, generations=6)
    for before, after in pairwise(events):
        for point in before.front:
            assert any(p.macs <= point.macs and p.accuracy >= point.accuracy for p in after.front)
    assert events[0].front != events[-1].front


@pytest.mark.parametrize("target", [0.4, 0.9])
def test_the_most_accurate_point_within_the_target_is_taken(
    target: float, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_strategy("genetic", model, graph, data, target_macs=target, **QUICK))
    last = [e for e in events if e.phase == "search"][-1]
    limit = target * cost(graph).macs
    inside = [p for p in last.front if p.macs <= limit]
    best = max(inside, key=lambda p: p.accuracy) if inside else last.front[0]
    assert Plan.from_json(graph, events[-1].plan) == best.plan(graph)


def test_every_chromosome_is_a_plan(graph: ChannelGraph) -> None:
    random = np.random.default_rng(0)
    genes = random.random((50, int(graph.prunable.sum()))) < 0.1
    scores = random.random(graph.num_units)
    for row, before in zip(repaired(graph, genes, scores), genes, strict=True):
        units = np.flatnonzero(graph.prunable)
        plan = Plan(graph, units[~row].tolist())  # refused if a group were empty
        for group in graph.prunable_groups:
            own = [u for u in units if u in group.units]
            was = before[np.isin(units, own)]
            if not was.any():
                assert plan.kept[own].sum() == 1
                assert plan.kept[own[int(np.argmax(scores[own]))]]
            else:
                assert (plan.kept[own] == was).all()


def test_a_population_from_repaired_sensitivity(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    options = Options(population=5, first_drop=0.6, start="repaired", images=None)
    run = Run(find_strategy("genetic"), model, graph, data, None, 0, options)
    units = np.flatnonzero(graph.prunable)
    plans = [Plan(graph, units[~row].tolist()) for row in cheapest_gone(run, options)]
    assert plans[0] == Plan(graph)
    for plan, share in zip(plans, (0, 0.15, 0.3, 0.45, 0.6), strict=True):
        ratio = cost(graph, plan).macs_ratio
        assert 1 - share - 0.25 < ratio <= 1 - share + 1e-9
    # They are in the first generation, every second one of it.
    first = searched(model, graph, data, start="repaired", generations=1)[0]
    assert first.state is not None
    genes = first.state["memory"]["genes"].numpy().astype(bool)
    mine = cheapest_gone(run, Options(**{**QUICK, "start": "repaired"}))
    assert (genes[1::2] == mine[1::2]).all()
    assert not (genes[2::2] == mine[2::2]).all()


def test_a_population_of_the_smallest_gone(graph: ChannelGraph) -> None:
    norms = np.random.default_rng(3).random(graph.num_units)
    options = Options(population=5, first_drop=0.8, start="magnitude")
    genes = smallest_gone(graph, norms, options)
    total = int(graph.prunable.sum())
    assert [int((~row).sum()) for row in genes] == [round(0.2 * k * total) for k in range(5)]
    kept = np.ones((5, graph.num_units), dtype=bool)
    kept[:, graph.prunable] = genes
    for group in graph.prunable_groups:
        own = np.asarray(group.units)
        for row in kept[:, own]:  # whoever stays has a larger norm than whoever goes
            assert row.any()
            assert row.all() or norms[own][row].min() > norms[own][~row].max()


def test_the_first_population_spans_the_front(graph: ChannelGraph) -> None:
    options = Options(population=20, first_drop=0.8)
    kept = first_genes(graph, options, np.random.default_rng(1)).mean(axis=1)
    assert kept[0] == 1
    assert kept[-1] < 0.5

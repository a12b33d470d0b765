"""Loose guards: half of what the benchmarks here are to show, in CPU time of one thread.

CPU time, since a busy machine stretches the clock; half, so that noise passes and a regression
does not. The scripts beside this file measure the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

import pruneviz as pv
from pruneviz.data import DataSet
from pruneviz.replay import Replay, Score, oracle, scan, score

IMAGES = 64


def cpu(way: Callable[[], object], rounds: int = 2) -> float:
    taken = []
    for _ in range(rounds):
        start = time.thread_time()
        way()
        taken.append(time.thread_time() - start)
    return min(taken)


class Case:
    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = pv.load_model("resnet20", weights="digits")
        digits = pv.load_dataset("digits")
        sample = digits.train.first(IMAGES)
        self.data = DataSet("part", sample, sample, None, digits.classes, (3, 32, 32), {})
        self.graph = pv.trace(self.model, (3, 32, 32))
        self.rank = pv.rank(self.model, self.graph, None, criteria=["l1"])

    def loop(self, plans: list[pv.Plan]) -> list[Score]:
        """Copy, mask, evaluate, in batches of 64 (the best for this network)."""
        found = []
        for plan in plans:
            model = pv.mask(self.model, self.graph, plan)
            ((x, y),) = self.data.val.batches(IMAGES)
            with torch.no_grad():
                found.append(score(model(x), y))
        return found


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.mark.sweep
def test_sensitivity(case: Case) -> None:
    ratios = (0.1, 0.3, 0.5, 0.7, 0.9)
    groups = case.graph.prunable_groups[1::4]
    plans = [pv.threshold(case.graph, case.rank, "l1", {g.name: r}) for g in groups for r in ratios]

    def quick() -> list[Score]:
        parts = list(scan(Replay(case.model, case.graph), case.data.val, plans, workers=1))
        return [sum(column[1:], column[0]) for column in zip(*parts, strict=True)]

    assert [s.correct for s in quick()] == [s.correct for s in case.loop(plans)]
    assert cpu(lambda: case.loop(plans)) / cpu(quick) > 1.25


@pytest.mark.slow
def test_oracle(case: Case) -> None:
    groups = case.graph.prunable_groups[1::4]
    every = [u for g in groups for u in g.units]
    units = every[::4]
    plans = [pv.Plan(case.graph, [u]) for u in units]

    def quick() -> object:
        return list(
            oracle(
                case.model,
                case.graph,
                case.data,
                images=None,
                groups=[g.name for g in groups],
                workers=1,
            )
        )

    share = len(units) / len(every)
    assert cpu(lambda: case.loop(plans)) / share / cpu(quick, 1) > 1.25


def test_what_if() -> None:
    import torchvision

    model = torchvision.models.resnet50(weights=None).eval()
    graph = pv.trace(model, (3, 64, 64))
    rank = pv.rank(model, graph, None, criteria=["l1"])
    plans = [pv.threshold(graph, rank, "l1", r / 100) for r in range(20, 40)]
    pv.cost(graph)
    each = cpu(lambda: [pv.cost(graph, plan) for plan in plans]) / len(plans)
    assert each < 0.002
    assert cpu(lambda: pv.prune(model, graph, plans[0]), 1) / each > 50


@pytest.mark.slow
def test_trace_and_prune_beside_the_peer() -> None:
    pytest.importorskip("torch_pruning", reason="needs the extra `peers`")
    import torchvision

    from tests.benchmarks import bench_graph

    model = torchvision.models.densenet121(weights=None).eval()
    image = torch.randn(1, *bench_graph.SHAPE)
    bench_graph.ours(model, 0.5)
    peer = cpu(lambda: bench_graph.theirs(model, image, 0.5), 1)
    assert peer / cpu(lambda: bench_graph.ours(model, 0.5)) > 4

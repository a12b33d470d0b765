"""The study of pretraining: both starts, the same budget, the same reductions."""

from __future__ import annotations

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import run_strategy
from pruneviz.training import evaluate

QUICK = {"epochs_before": 2, "epochs": 1, "sparsities": 3, "largest": 0.6}


def test_both_starts_are_pruned_to_the_same_reductions(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_strategy("pretraining_study", model, graph, data, **QUICK))
    points = events[-1].points
    assert [p.start for p in points] == ["pretrained"] * 4 + ["scratch"] * 4
    for four in (points[:4], points[4:]):
        assert four[0].removed == 0
        for point, wanted in zip(four[1:], (0.2, 0.4, 0.6), strict=True):
            assert wanted - 1e-9 <= point.removed < wanted + 0.1
            assert point.params == pytest.approx((1 - point.removed) * cost(graph).params)
    assert [p.removed for p in points[:4]] == [p.removed for p in points[4:]]
    assert events[-1].passes == 2 * (2 + 3 * 1)
    assert all(p.test_accuracy is not None for p in points)
    # What was trained already is ahead of what starts from new weights.
    assert points[0].accuracy > points[4].accuracy


def test_the_largest_reduction_within_the_tolerance_comes_out(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    for tolerance in (0.0, 1.0):
        last = list(
            run_strategy("pretraining_study", model, graph, data, tolerance=tolerance, **QUICK)
        )[-1]
        base, *rest = (p for p in last.points if p.start == "pretrained")
        good = [p for p in rest if p.accuracy >= base.accuracy - tolerance]
        best = good[-1] if good else base
        assert last.params == best.params
        assert last.result is not None
        assert evaluate(last.result.model, data).accuracy == best.accuracy
        assert last.result.plan == Plan.from_json(graph, last.plan)

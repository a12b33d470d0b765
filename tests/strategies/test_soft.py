"""Soft: what is zeroed learns again, and the last choice is what goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import StrategyEvent, run_strategy
from pruneviz.strategies.budget import Target
from pruneviz.strategies.soft import asymptotic_share, budget, goal_of, renew, zero_filters
from pruneviz.surgery import prune
from pruneviz.training import evaluate, recalibrate


def filters_of(
    state: dict[str, torch.Tensor], graph: ChannelGraph, unit: int
) -> list[torch.Tensor]:
    return [
        state[graph.layer(name).weight][list(filters)]
        for name, filters in graph.members(unit).items()
    ]


def softened(
    model: nn.Module, graph: ChannelGraph, data: DataSet, **options: object
) -> list[StrategyEvent]:
    return list(run_strategy("soft", model, graph, data, **options))[:-1]


def test_zeroed_filters_change_again(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    # The random criterion chooses others every time, so that some come back for sure.
    first, second = softened(model, graph, data, epochs=2, criterion="random")
    before, after = (Plan.from_json(graph, e.plan) for e in (first, second))
    back = set(before.dropped) - set(after.dropped)
    assert back
    for event, plan in ((first, before), (second, after)):
        assert event.state is not None
        for unit in plan.dropped:
            assert all(not f.any() for f in filters_of(event.state["model"], graph, unit))
    assert second.state is not None
    for unit in back:
        assert all(f.any() for f in filters_of(second.state["model"], graph, unit))


def test_the_smallest_filters_of_each_layer_are_zeroed(
    model: nn.Module, graph: ChannelGraph, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "pruneviz.strategies.soft.zero_filters",
        lambda network, graph, plan: seen.append(
            ({k: v.clone() for k, v in network.state_dict().items()}, plan)
        ),
    )
    softened(model, graph, data, epochs=1)
    ((weights, plan),) = seen
    single = [g for g in graph.prunable_groups if len(g.layers) == 1]
    assert single
    for group in single:
        norms = [
            sum(float((f.double() ** 2).sum()) for f in filters_of(weights, graph, u))
            for u in group.units
        ]
        gone = [u - group.start for u in plan.dropped if u in group.units]
        assert gone
        assert sorted(gone) == sorted(np.argsort(norms, kind="stable")[: len(gone)].tolist())


def test_only_weights_and_biases_of_the_filters_become_zero(
    model: nn.Module, graph: ChannelGraph
) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plan = Plan(graph).drop("inner", [1, 3]).drop("stem", 2)
    zero_filters(model, graph, plan)
    after = model.state_dict()
    touched = {k for k in before if not torch.equal(before[k], after[k])}
    assert touched == {"inner.weight", "inner.bias", "stem.weight", "outer.weight"}
    for name, rows in (("inner.weight", [1, 3]), ("stem.weight", [2]), ("outer.weight", [2])):
        kept = [i for i in range(len(before[name])) if i not in rows]
        assert not after[name][rows].any()
        assert torch.equal(after[name][kept], before[name][kept])


def test_asymptotic_share_goes_through_its_three_points() -> None:
    assert asymptotic_share(0, 80) == pytest.approx(0)
    assert asymptotic_share(10, 80) == pytest.approx(0.75, abs=1e-6)
    assert asymptotic_share(80, 80) == pytest.approx(1)


def test_asymptotic_ratios_grow(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    events = softened(model, graph, data, epochs=12, asymptotic=True, target_macs=0.1)
    sizes = [len(Plan.from_json(graph, e.plan)) for e in events]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert events[-1].macs / cost(graph).macs <= 0.1


def test_streams_keep_their_width_unless_they_must_not(graph: ChannelGraph) -> None:
    (stream,) = (g.name for g in graph.prunable_groups if len(g.layers) == 2)
    inner = goal_of(graph, Target(macs=0.8), streams=False)
    assert inner
    assert stream not in inner
    assert goal_of(graph, Target(macs=0.8), streams=True)[stream] > 0
    assert goal_of(graph, Target(macs=0.1), streams=False)[stream] > 0


def test_statistics_are_measured_anew_without_the_zeroed_filters(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    *_, soft, last = run_strategy("soft", model, graph, data, epochs=2, target_macs=0.6)
    assert last.result is not None
    # The last event says what the network that comes out does.
    assert evaluate(last.result.model, data).accuracy == last.accuracy == soft.accuracy
    assert soft.state is not None
    trained = nn.Module.state_dict(model)
    model.load_state_dict(soft.state["model"])
    by_hand = prune(model, graph, last.result.plan)
    model.load_state_dict(trained)
    for weight, own in zip(by_hand.parameters(), last.result.model.parameters(), strict=True):
        assert torch.equal(weight, own)
    recalibrate(by_hand, data, seed=3)
    for mine, own in zip(by_hand.buffers(), last.result.model.buffers(), strict=True):
        assert torch.allclose(mine.float(), own.float(), rtol=0.2, atol=0.1)
    *_, plain = run_strategy(
        "soft", model, graph, data, epochs=2, target_macs=0.6, recalibrate=False
    )
    assert plain.result is not None
    assert not torch.equal(plain.result.model.norm2.running_mean, by_hand.norm2.running_mean)


def test_taylor_variant_chooses_otherwise(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    plans = {
        name: softened(model, graph, data, epochs=1, criterion=name, streams=True)[-1].plan
        for name in ("l2", "taylor")
    }
    assert plans["l2"] != plans["taylor"]


def test_from_scratch_starts_from_new_weights(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    renew(model, 1)
    once = {k: v.clone() for k, v in model.state_dict().items()}
    renew(model, 1)
    assert all(torch.equal(once[k], v) for k, v in model.state_dict().items())
    assert not torch.equal(once["stem.weight"], before["stem.weight"])
    model.load_state_dict(before)
    scratch = softened(model, graph, data, epochs=1, from_scratch=True, lr=1e-6)
    kept = softened(model, graph, data, epochs=1, lr=1e-6)
    assert scratch[-1].loss > kept[-1].loss


def test_filters_are_zeroed_only_every_few_epochs(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = softened(model, graph, data, epochs=5, every=2, criterion="random")
    plans = [e.plan for e in events]
    assert Plan.from_json(graph, plans[0]) == Plan(graph)
    assert plans[1] == plans[2] != plans[3]
    assert plans[3] != plans[4]


def test_half_of_a_race_s_budget_follows_the_removal(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    assert budget(1, 96) == {"epochs": 1, "epochs_after": 0}
    assert budget(5, 96) == {"epochs": 2, "epochs_after": 3}
    events = softened(model, graph, data, **budget(4, 96))
    assert [e.message.split(",")[0] for e in events] == ["Soft pruning"] * 2 + ["Fine-tuning"] * 2
    assert events[1].plan == events[3].plan
    assert events[3].passes == 4

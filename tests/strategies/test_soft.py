"""Soft: what is zeroed learns again, and the last choice is what goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import StrategyEvent, run_strategy
from pruneviz.strategies.branches import convolutions, narrow_branches
from pruneviz.strategies.budget import Target
from pruneviz.strategies.soft import asymptotic_share, budget, goal_of, renew
from pruneviz.strategies.soft_rate import smallest
from pruneviz.strategies.zeroing import zero_filters
from pruneviz.surgery import prune
from pruneviz.trace import trace
from pruneviz.training import evaluate, fine_tune, recalibrate


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


LEFT = {"stem": 3, "inner": 3, "outer": 3, "wide": 6}  # of 6, 5, 6 and 12 filters at 50 %


def zero_filters_of(state: dict[str, torch.Tensor], names: Iterable[str]) -> dict[str, list[int]]:
    return {
        name: (~state[f"{name}.weight"].flatten(1).any(1)).nonzero().flatten().tolist()
        for name in names
    }


def test_a_rate_zeroes_every_convolution_s_own_smallest_filters(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    norms = {name: model.get_submodule(name).weight.flatten(1).norm(dim=1) for name in LEFT}
    event = softened(model, graph, data, epochs=1, rate=0.5, lr=1e-9)[0]
    assert event.state is not None
    gone = zero_filters_of(event.state["model"], LEFT)
    for name, left in LEFT.items():
        assert gone[name] == sorted(norms[name].argsort()[: len(norms[name]) - left].tolist())
    # Of the stream nothing leaves; of what one convolution makes, all of it.
    plan = Plan.from_json(graph, event.plan)
    assert plan == Plan(graph).drop("inner", gone["inner"]).drop("wide", gone["wide"])


def test_a_rate_zeroes_before_the_training_too(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    first, last = softened(model, graph, data, epochs=2, rate=0.5, every=2, lr=1e-9)[:2]
    assert first.state is not None
    for name, left in LEFT.items():
        weight = first.state["model"][f"{name}.weight"].flatten(1).abs().amax(1)
        assert int((weight > 1e-4).sum()) == left
    assert first.plan == last.plan


def test_hard_zeros_stay_and_soft_ones_learn(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    for options in ({"rate": 0.5}, {"target_macs": 0.6}):
        hard = softened(model, graph, data, epochs=3, every=3, hard=True, lr=0.01, **options)
        soft = softened(model, graph, data, epochs=3, every=3, lr=0.01, **options)
        zeros = [zero_filters_of(e.state["model"], LEFT) for e in hard[:3] if e.state]
        assert zeros[0] == zeros[1] == zeros[2]
        assert any(zeros[0].values())
        assert soft[0].state is not None
        # What a norm follows learns again; a zeroed filter right before a relu gets no gradient.
        assert zero_filters_of(soft[0].state["model"], ["outer"]) == {"outer": []}


def test_the_network_of_a_rate_equals_the_one_with_narrow_branches(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    *_, told, last = run_strategy(
        "soft", model, graph, data, epochs=1, rate=0.5, epochs_after=0, recalibrate=True
    )
    assert last.result is not None
    small = narrow_branches(last.result.model, graph.input_shape)
    x = torch.randn(8, *graph.input_shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(small(x), last.result.model(x), atol=1e-5, rtol=1e-4)
    # stem 3 -> 3, inner reads these alone, outer 3 -> 3 on 8 x 8; wide 6 of 6 read on 4 x 4.
    shapes = {n: tuple(m.weight.shape[:2]) for n, m in convolutions(small).items()}
    stream = shapes["wide"][1] if "wide" in shapes else shapes["wide.1"][1]
    by_hand = 64 * (3 * 3 * 9 + 3 * 3 * 9 + 3 * 3) + 16 * 6 * stream * 9 + 6 * 3
    assert cost(trace(small, graph.input_shape)).macs == by_hand
    assert f"{by_hand / cost(graph).macs:.1%} of the MACs are left" in told.message


def test_a_rate_trains_as_the_authors_do_unless_told_otherwise(
    model: nn.Module, graph: ChannelGraph, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []

    def watched(*args: Any, **given: Any) -> Any:
        seen.append((given["schedule"], given["decay_all"]))
        return fine_tune(*args, **given)

    monkeypatch.setattr("pruneviz.strategies.run.fine_tune", watched)
    for options in ({"rate": 0.5}, {}, {"rate": 0.5, "schedule": "cosine", "decay": "weights"}):
        softened(model, graph, data, epochs=1, **options)
    assert seen == [("steps", True), ("cosine", False), ("cosine", False)]


def test_the_norm_decides_which_filters_are_smallest() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, (1, 4), bias=False))
    # l1: 3 against 4; l2: 3 against 2.
    network[0].weight.data = torch.tensor([[3.0, 0, 0, 0], [1, 1, 1, 1]]).view(2, 1, 1, 4)
    assert smallest(network, 0.5, 1) == {"0": [0]}
    assert smallest(network, 0.5, 2) == {"0": [1]}

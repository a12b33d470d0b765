"""Scores of plans are those of the pruned networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import pruneviz as pv
from pruneviz.errors import PlanError
from pruneviz.replay import Replay, Score, pack, score
from pruneviz.replay.columns import prepared, silenced
from pruneviz.replay.fast import Kept
from pruneviz.replay.scan import bounds
from tests.replay.helpers import FAMILIES, Mixed, Sometimes, build, liven, random_plan


def slow(model: nn.Module, graph: pv.ChannelGraph, plan: pv.Plan, x: Tensor, y: Tensor) -> Score:
    with torch.no_grad():
        return score(pv.prune(model, graph, plan)(x), y)


def agree(found: Score, expected: Score) -> None:
    assert (found.correct, found.count) == (expected.correct, expected.count)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


# The others are covered above, and their layers by these.
LARGE = ("alexnet", "vgg11_bn", "inception_v3", "resnext50_32x4d", "googlenet", "regnet_x_400mf")


PLANNED = [name for name in FAMILIES if name not in LARGE]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNED)
def test_scores_of_plans_are_those_of_pruned_networks(name: str) -> None:
    model = build(name)
    graph = pv.trace(model, (3, 64, 64))
    x, y = torch.randn(3, 3, 64, 64), torch.tensor([1, 2, 3])
    replay = Replay(model, graph)
    rng = np.random.default_rng(1)
    plans = [pv.Plan(graph), *(random_plan(graph, rng, n) for n in (1, 1, 4))]
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert replay.reason is None, "no falling back to the whole network"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    folded=st.booleans(),
    channels_last=st.booleans(),
    skip=st.booleans(),
    packed=st.booleans(),
)
def test_any_plans_in_any_mode(
    seed: int, folded: bool, channels_last: bool, skip: bool, packed: bool
) -> None:
    torch.manual_seed(seed % 7)
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    rng = np.random.default_rng(seed)
    plans = [random_plan(graph, rng, n) for n in (1, 2, 3, 8)]
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    replay = Replay(
        model, graph, folded=folded, channels_last=channels_last, skip=skip, packed=packed
    )
    before = [s.loss for s in replay.scores(x, y, plans)]
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert before == [s.loss for s in replay.scores(x, y, plans)]
    assert replay.reason is None


def test_norms_are_folded_away_and_zero_columns_left_out() -> None:
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    x = torch.randn(2, 3, 8, 8)
    ops = [
        sum(op.label == "batch_norm" for op in recipe.program.ops)
        for recipe in (Replay(model, graph, folded=f).recipe(x) for f in (False, True))
        if recipe is not None
    ]
    assert ops == [3, 0]
    recipe = Replay(model, graph).recipe(x)
    assert recipe is not None
    if pack.available():
        assert {op.label for op in recipe.program.ops} & {"relu", "relu6", "hardswish"} == set()
    recipe = Replay(model, graph, packed=False).recipe(x)
    assert recipe is not None
    columns = silenced(graph, pv.Plan(graph).drop("stem", range(7)).kept)
    shapes = {
        name: tuple(t.weight.shape) if isinstance(t, Kept) else tuple(t.shape)
        for name, t in prepared(recipe, columns, skip=True).items()
    }
    assert shapes["side.weight"] == (6, 1, 3, 3)
    assert prepared(recipe, columns)["side.weight"][:, :7].count_nonzero() == 0


class Kernels:
    """torch.ops.mkldnn as another release may have it."""

    def __init__(self, **kernels: Callable[..., Tensor]) -> None:
        self.__dict__.update(kernels)


def raises(*arguments: object) -> Tensor:
    raise TypeError("takes other arguments")


def of_old(*arguments: Any) -> Tensor:
    return torch.zeros(2, 4, 5, 5)


OTHER = {
    "gone": Kernels(),
    "other arguments": Kernels(
        _convolution_pointwise=raises, _reorder_convolution_weight=lambda weight, *rest: weight
    ),
    "other values": Kernels(
        _convolution_pointwise=of_old, _reorder_convolution_weight=lambda weight, *rest: weight
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_without_the_private_kernels_scores_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    plans = [pv.Plan(graph), *(random_plan(graph, np.random.default_rng(0), n) for n in (1, 4))]
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    usual = Replay(model, graph).scores(x, y, plans)
    pack.available.cache_clear()
    monkeypatch.setattr(torch.ops, "mkldnn", OTHER[name], raising=False)
    try:
        assert not pack.available()
        replay = Replay(model, graph)
        for before, after in zip(usual, replay.scores(x, y, plans), strict=True):
            agree(after, before)
        assert replay.reason is None, "no falling back to the whole network"
    finally:
        pack.available.cache_clear()


def test_a_network_that_cannot_be_replayed_is_run_whole() -> None:
    model = liven(Sometimes())
    graph = pv.trace(model, (3, 8, 8))
    replay = Replay(model, graph)
    plans = [random_plan(graph, np.random.default_rng(0), 3) for _ in range(3)]
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert replay.reason is not None
    assert "values into Python" in replay.reason


def test_a_plan_for_another_network_is_refused() -> None:
    model, other_graph = liven(Mixed()), pv.trace(build("squeezenet1_0"), (3, 64, 64))
    replay = Replay(model, pv.trace(model, (3, 8, 8)))
    with pytest.raises(PlanError, match="another network"):
        replay.scores(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), [pv.Plan(other_graph)])


def test_weights_changed_later_do_not_matter() -> None:
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    replay = Replay(model, graph)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    before = replay.scores(x, y, [pv.Plan(graph)])
    nn.init.zeros_(model.head.weight)
    assert replay.scores(x, y, [pv.Plan(graph)]) == before


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 64), st.integers(1, 8))
def test_mini_batches_cover_all_images_and_start_small(count: int, size: int, workers: int) -> None:
    cuts = bounds(count, size, workers)
    assert [a for a, _ in cuts] == [0, *(b for _, b in cuts[:-1])]
    assert cuts[-1][1] == count
    assert max(b - a for a, b in cuts) <= size
    if count >= 16 * workers:
        assert sum(b - a for a, b in cuts[:workers]) <= count / 10

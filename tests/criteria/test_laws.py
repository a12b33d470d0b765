"""What holds for every registered criterion."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.criteria import criteria
from pruneviz.criteria.registry import registered
from tests.core.laws import shake
from tests.core.networks import NETWORKS
from tests.core.networks import SHAPE as NOTEBOOK_SHAPE
from tests.criteria.networks import Depthwise, Residual, tiny_data

SHAPE = (3, 16, 16)
EVERY = sorted(registered())
DETERMINED = [name for name in EVERY if name != "random"]
SHARED = [name for name, c in registered().items() if not c.own_pass and name != "bn_scale"]


@pytest.fixture(scope="module")
def residual():
    torch.manual_seed(0)
    model = shake(Residual())
    return model, pv.trace(model, SHAPE), tiny_data()


def scores_of(model, graph, data, name, **options):
    return pv.rank(model, graph, data, [name], **options).of(name)


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_numbers_where_units_can_go(residual, name) -> None:
    model, graph, data = residual
    scores = scores_of(model, graph, data, name)
    assert scores.shape == (graph.num_units,)
    assert scores.dtype == np.float64
    assert (np.isfinite(scores) == graph.prunable).all()
    assert (scores[graph.prunable] >= 0).all()


@pytest.mark.parametrize("name", EVERY)
def test_same_again_and_alone_as_together(residual, name) -> None:
    model, graph, data = residual
    first = scores_of(model, graph, data, name)
    again = scores_of(model, graph, data, name)
    np.testing.assert_array_equal(first, again)
    together = pv.rank(model, graph, data, EVERY).of(name)
    np.testing.assert_allclose(together, first, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_batch_size_does_not_matter(residual, name) -> None:
    model, graph, data = residual
    model = copy.deepcopy(model).double()
    whole = scores_of(model, graph, data, name, batch_size=64)
    for size in (1, 3, 5):
        parts = scores_of(model, graph, data, name, batch_size=size)
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in DETERMINED if registered()[n].needs_data])
def test_data_matter_and_are_drawn_by_seed(residual, name) -> None:
    model, graph, data = residual
    ok = graph.prunable
    some = [scores_of(model, graph, data, name, images=5, seed=s)[ok] for s in (0, 0, 1)]
    np.testing.assert_array_equal(some[0], some[1])
    assert (some[0] != some[2]).any()


@pytest.mark.parametrize("name", DETERMINED)
@pytest.mark.parametrize("build", [Residual, Depthwise], ids=lambda b: b.__name__)
def test_a_silent_unit_has_the_lowest_score(build, name) -> None:
    """Higher = keep: what does nothing at all must not be kept first."""
    torch.manual_seed(0)
    model = shake(build()).double()
    graph = pv.trace(model, SHAPE)
    group = graph.group("conv1" if build is Residual else "expand")
    unit = group.start + 2
    silent = pv.mask(model, graph, pv.Plan(graph).drop_units([unit]))
    scores = scores_of(silent, graph, tiny_data(), name)[list(group.units)]
    assert scores.argmin() == 2
    if name != "fpgm":
        np.testing.assert_allclose(scores[2], 0, atol=1e-12)


@pytest.mark.parametrize("name", DETERMINED)
def test_renumbered_filters_have_renumbered_scores(name) -> None:
    torch.manual_seed(0)
    model = shake(Residual()).double()
    graph, data = pv.trace(model, SHAPE), tiny_data()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.conv1.weight.copy_(model.conv1.weight[order])
        for stored in ("weight", "bias", "running_mean", "running_var"):
            getattr(other.bn1, stored).copy_(getattr(model.bn1, stored)[order])
        other.conv2.weight.copy_(model.conv2.weight[:, order])
    before, after = (pv.rank(m, graph, data, name) for m in (model, other))
    np.testing.assert_allclose(
        after.layer(name, "conv1"), before.layer(name, "conv1")[order], rtol=1e-5
    )
    np.testing.assert_allclose(after.layer(name, "stem"), before.layer(name, "stem"), rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_the_model_stays_as_it_was(name) -> None:
    torch.manual_seed(0)
    model = shake(Residual())
    graph, data = pv.trace(model, SHAPE), tiny_data()
    model.train()
    model.bn1.eval()
    model.fc.weight.requires_grad_(False)
    model.stem.bias.grad = torch.ones(8)
    calls = []
    model.conv2.register_forward_hook(lambda *_: calls.append(1))
    state = copy.deepcopy(model.state_dict())
    modes = {n: m.training for n, m in model.named_modules()}
    asks = {n: p.requires_grad for n, p in model.named_parameters()}
    hooks = {n: len(m._forward_hooks) for n, m in model.named_modules()}
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    randomness = torch.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    scores_of(model, graph, data, name)
    assert torch.equal(torch.get_rng_state(), randomness[0])
    assert (np.random.get_state()[1] == randomness[1]).all()  # noqa: NPY002
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert {n: m.training for n, m in model.named_modules()} == modes
    assert {n: p.requires_grad for n, p in model.named_parameters()} == asks
    assert {n: len(m._forward_hooks) for n, m in model.named_modules()} == hooks
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {"stem.bias"}
    assert torch.equal(model.stem.bias.grad, torch.ones(8))


def test_modes_and_frozen_weights_do_not_matter(residual) -> None:
    model, graph, data = residual
    names = [n for n in EVERY if n != "conductance"]
    plain = pv.rank(model, graph, data, names)
    odd = copy.deepcopy(model).train().requires_grad_(False)
    with torch.no_grad():
        other = pv.rank(odd, graph, data, names)
    for name in names:
        np.testing.assert_array_equal(plain.of(name), other.of(name))


@pytest.mark.parametrize("name", EVERY)
def test_tied_layers_share_their_scores(residual, name) -> None:
    model, graph, data = residual
    found = pv.rank(model, graph, data, name)
    np.testing.assert_array_equal(found.layer(name, "stem"), found.layer(name, "conv2"))
    np.testing.assert_array_equal(found.layer(name, "stem"), found.layer(name, "proj"))


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_networks_from_notebooks(network) -> None:
    """Functional calls, in-place operations, shuffles: every unit that can go has a score."""
    torch.manual_seed(0)
    model = shake(NETWORKS[network]()).double()
    graph, data = pv.trace(model, NOTEBOOK_SHAPE), tiny_data(NOTEBOOK_SHAPE)
    whole = pv.rank(model, graph, data, SHARED, batch_size=16)
    parts = pv.rank(model, graph, data, SHARED, batch_size=4)
    for name in SHARED:
        scores = whole.of(name)
        assert (np.isfinite(scores) == graph.prunable).all()
        np.testing.assert_allclose(parts.of(name), scores, rtol=1e-6, atol=1e-9, err_msg=name)
        if graph.prunable.any():
            assert np.nanmax(scores) > 0


@pytest.mark.parametrize(
    "name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.sweep)]
)
def test_auxiliary_heads_do_not_run_and_score_nothing(name) -> None:
    from torchvision import models

    torch.manual_seed(0)
    size = 299 if name == "inception_v3" else 96
    model = models.get_model(name, num_classes=4, aux_logits=True, init_weights=False)
    graph = pv.trace(shake(model), (3, size, size))
    heads = [n for n in graph.layers if n.name.startswith(("aux", "AuxLogits"))]
    assert heads
    data = tiny_data((3, size, size), count=2)
    found = pv.rank(model, graph, data, ["l1", "taylor", "apoz", "taylor_weight"])
    main = np.unique(np.concatenate([n.units for n in graph.layers if n.maps_at]))
    main = main[graph.prunable[main]]
    alone = np.setdiff1d(np.flatnonzero(graph.prunable), main)
    assert alone.size
    for criterion in ("taylor", "apoz", "taylor_weight"):
        assert (found.of(criterion)[alone] == 0).all()
        assert np.count_nonzero(found.of(criterion)[main]) > 0.5 * main.size
    assert (found.of("l1")[alone] > 0).all()


def test_the_table_of_criteria() -> None:
    table = criteria()
    assert sorted(table["name"]) == EVERY
    assert table["title"].is_unique
    for row in table.itertuples():
        assert row.help.endswith(".")
        assert row.formula
        assert row.paper
    assert set(table["name"][~table["needs_data"]]) == {"l1", "l2", "fpgm", "bn_scale", "random"}


def test_a_map_that_is_read_twice_is_taken_before_its_activation() -> None:
    """x * sigmoid(x) by hand: neither factor alone says what the filter does."""

    class ByHand(nn.Module):
        def __init__(self, twice: bool) -> None:
            super().__init__()
            self.twice = twice
            self.conv, self.bn, self.fc = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 4)

        def forward(self, x):
            x = self.bn(self.conv(x))
            gate = torch.sigmoid(x).clone()
            return self.fc((x * gate if self.twice else gate).mean((2, 3)))

    for twice in (True, False):
        torch.manual_seed(0)
        model, data = shake(ByHand(twice)).double(), tiny_data()
        found = pv.rank(model, pv.trace(model, SHAPE), data, "mean_activation")
        x, _ = next(data.train.batches(len(data.train)))
        with torch.no_grad():
            map = model.bn(model.conv(x.double()))
        expected = (map if twice else map.sigmoid()).abs().mean((0, 2, 3))
        np.testing.assert_allclose(found.layer("mean_activation", "conv"), expected)


def test_modules_used_out_of_the_traced_order_fall_back_to_their_hooks() -> None:
    """A network that makes other calls than when it was traced is tapped at its modules."""

    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3)
            self.fc = nn.Linear(5, 4)
            self.extra = 0

        def forward(self, x):
            for _ in range(self.extra):
                x = x.flatten(0).view(x.shape)
            return self.fc(self.conv2(self.conv1(x)).mean((2, 3)))

    torch.manual_seed(0)
    model, data = Fickle().double(), tiny_data()
    graph = pv.trace(model, SHAPE)
    names = ["taylor", "mean_activation", "apoz"]
    before = pv.rank(model, graph, data, names)
    model.extra = 2
    after = pv.rank(model, graph, data, names)
    for name in names:
        np.testing.assert_allclose(after.of(name), before.of(name), rtol=1e-9)

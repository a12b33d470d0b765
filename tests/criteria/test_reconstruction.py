"""The reconstruction criterion against least squares by hand, and channels that say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.criteria import reconstruction
from pruneviz.criteria.reconstruction import Reader, costs_in_order, order_of
from tests.criteria.networks import tiny_data

SHAPE = (3, 16, 16)


class Plain(nn.Module):
    """Two convolutions and a classifier of averages; the second one has a constant or has not."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.second = nn.Conv2d(5, 4, 1, bias=bias)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)))


def network(bias: bool) -> nn.Module:
    torch.manual_seed(0)
    return Plain(bias).double().eval()


def lost(read: np.ndarray, weight: np.ndarray, gone: list[int], constant: bool) -> float:
    """The outputs' error after a refit without these channels, as a share of their energy.

    By least squares on the inputs themselves, with the ridge as rows of their own.
    """
    inputs = read - read.mean(0) if constant else read
    count = len(inputs)
    energy = float(((inputs @ weight.T) ** 2).sum()) / count
    ridge = reconstruction.RIDGE * float((inputs**2).sum()) / count / inputs.shape[1]
    rows = np.concatenate([inputs, np.sqrt(count * ridge) * np.eye(inputs.shape[1])])
    wanted = rows @ weight.T
    kept = np.delete(rows, gone, axis=1)
    fitted = kept @ np.linalg.lstsq(kept, wanted, rcond=None)[0]
    return float(((wanted - fitted) ** 2).sum()) / count / energy


@pytest.mark.parametrize("bias", [True, False])
def test_scores_by_least_squares(bias: bool) -> None:
    model, data = network(bias), tiny_data(SHAPE)
    graph = pv.trace(model, SHAPE)
    scores = pv.rank(model, graph, data, "reconstruction").layer("reconstruction", "first")
    ((x, _),) = data.train.batches(len(data.train))
    with torch.no_grad():
        read = torch.relu(model.first(x.double())).movedim(1, -1).reshape(-1, 5).numpy()
    weight = model.second.weight.detach().flatten(1).numpy()
    gone: list[int] = []
    for _ in range(5):  # the cheapest first; every other unit is tried after a refit
        trials = {u: lost(read, weight, [*gone, u], bias) for u in range(5) if u not in gone}
        cheapest = min(trials, key=trials.__getitem__)
        assert scores[cheapest] == pytest.approx(trials[cheapest], rel=1e-6)
        gone.append(cheapest)
    assert np.argsort(scores).tolist() == gone


def test_of_two_channels_that_say_the_same_one_is_free() -> None:
    model, data = network(True), tiny_data(SHAPE)
    with torch.no_grad():
        model.first.weight[3] = model.first.weight[1]
        model.first.bias[3] = model.first.bias[1]
    graph = pv.trace(model, SHAPE)
    scores = pv.rank(model, graph, data, "reconstruction").layer("reconstruction", "first")
    pair = sorted(scores[[1, 3]])
    assert scores.argmin() in (1, 3)
    assert pair[0] < 1e-3
    assert pair[1] > 20 * pair[0]
    l2 = pv.rank(model, graph, None, "l2").layer("l2", "first")
    assert l2[1] == l2[3]


def test_units_of_several_channels_go_as_blocks() -> None:
    """Units of two columns, two readers, one of which reads other units besides."""
    rng = np.random.default_rng(0)
    units = [np.array([0, 1, 2, 0, 1, 2]), np.array([2, 1, 7, 0, -1])]
    reads = [rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(300, 5))]
    weights = [rng.normal(size=(4, 6)), rng.normal(size=(3, 5))]
    readers = [
        Reader(w, x.T @ x / len(x), u) for w, x, u in zip(weights, reads, units, strict=True)
    ]
    scores = order_of(readers, 0, 3)
    gone: list[int] = []
    for _ in range(3):
        trials = {
            u: sum(
                lost(x, w, np.flatnonzero(np.isin(own, [*gone, u])).tolist(), False)
                for w, x, own in zip(weights, reads, units, strict=True)
            )
            for u in range(3)
            if u not in gone
        }
        cheapest = min(trials, key=trials.__getitem__)
        assert scores[cheapest] == pytest.approx(trials[cheapest], rel=1e-6)
        gone.append(cheapest)


def test_a_wide_group_loses_several_units_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "STEPS", 3)
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(500, 8)), rng.normal(size=(4, 8))
    scores = order_of([Reader(weight, x.T @ x / 500, np.arange(8))], 0, 8)
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 8
    costs = Reader(weight, x.T @ x / 500, np.arange(8)).costs(0, 8)
    assert np.argsort(scores)[:3].tolist() == np.argsort(costs)[:3].tolist()


@pytest.mark.parametrize("bias", [True, False])
def test_costs_in_the_own_order_are_the_scores(bias: bool) -> None:
    model, data = network(bias), tiny_data(SHAPE)
    graph = pv.trace(model, SHAPE)
    scores = pv.rank(model, graph, data, "reconstruction").of("reconstruction")
    seen = pv.statistics(model, graph, data, images=len(data.train))
    told: list[str] = []
    costs = costs_in_order(model, graph, seen, scores, told.append)
    known = ~np.isnan(costs)
    assert told == [group.name for group in graph.prunable_groups]
    np.testing.assert_allclose(costs[known], scores[known], rtol=1e-6)
    # In another order, all but the last unit cost as much or more; together the same.
    group = graph.group("first")
    backwards = costs_in_order(model, graph, seen, -scores)[list(group.units)]
    own = np.sort(costs[list(group.units)])
    assert (np.sort(backwards) >= own - 1e-9).all()
    assert backwards.max() == pytest.approx(own.max())

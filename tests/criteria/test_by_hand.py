"""Every criterion on a network small enough to work the scores out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.criteria import applicable, criteria
from pruneviz.criteria.information import information
from pruneviz.data import MEAN, STD, DataSet, ImageSet


class Two(nn.Module):
    """Two 1×1 filters on one-pixel images, ReLU, and two outputs: all by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.out = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, -2.0, 0.0], [3.0, 4.0, 0.0]])
            self.conv.weight.copy_(rows[:, :, None, None])
            self.out.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.conv(x)).mean((2, 3)))


def pixels(*values: tuple[float, float, float]) -> ImageSet:
    """One-pixel images that the normalisation maps near these values."""
    x = torch.tensor(values)
    raw = (x * torch.tensor(STD) + torch.tensor(MEAN)) * 255
    return ImageSet(
        raw.round().clamp(0, 255).to(torch.uint8).view(-1, 3, 1, 1),
        torch.zeros(len(x), dtype=torch.int64),
    )


IMAGES = pixels((1.0, -1.0, 0.0), (-0.5, 0.5, 0.0))


@pytest.fixture(scope="module")
def data() -> DataSet:
    return DataSet("two", IMAGES, IMAGES, None, ("a", "b"), (3, 1, 1), {"name": "two"})


@pytest.fixture(scope="module")
def two() -> tuple[nn.Module, pv.ChannelGraph]:
    model = Two().eval()
    return model, pv.trace(model, (3, 1, 1))


def scores(two, data, name):
    model, graph = two
    return pv.rank(model, graph, data, [name]).layer(name, "conv")


@pytest.fixture(scope="module")
def work() -> dict[str, np.ndarray]:
    """Activations, gradients of the loss and terms, with plain arithmetic."""
    shown = IMAGES.images.double().view(-1, 3) / 255
    x = ((shown - torch.tensor(MEAN).double()) / torch.tensor(STD).double()).numpy()
    rows = np.array([[1.0, 0, 0], [0, -2, 0], [3, 4, 0]])
    z = x @ rows.T
    a = np.maximum(z, 0)
    logits = np.stack([a[:, 0] + 2 * a[:, 2], a[:, 1]], 1)
    p1 = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    # loss = -log softmax_0: d/dlogit0 = -p1, d/dlogit1 = p1
    gradient = np.stack([-p1, p1, -2 * p1], 1)
    weight = np.zeros(3)
    for n in range(2):
        for k in range(3):
            weight[k] += (z[n, k] > 0) * gradient[n, k] * z[n, k]
    return {"a": a, "term": a * gradient, "weight": weight / 2}


def test_norms(two) -> None:
    np.testing.assert_allclose(scores(two, None, "l1"), [1, 2, 7])
    np.testing.assert_allclose(scores(two, None, "l2"), [1, 2, 5])


def test_geometric_median(two) -> None:
    a, b, c = math.hypot(1, 2), math.hypot(2, 4), math.hypot(3, 6)
    np.testing.assert_allclose(scores(two, None, "fpgm"), [a + b, a + c, b + c])


def test_activations(two, data, work) -> None:
    a = work["a"]
    np.testing.assert_allclose(scores(two, data, "mean_activation"), a.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scores(two, data, "std_activation"), a.std(0), rtol=1e-6)
    np.testing.assert_allclose(scores(two, data, "apoz"), (a > 0).mean(0))
    assert (a > 0).mean(0).tolist() == [0.5, 0.5, 0.5]


def test_mutual_information() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    told = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])  # the bin says the label
    flat = np.ones(8)
    apart = np.array([0.0, 1, 0, 1, 0, 1, 0, 1])  # two bins, each with both labels alike
    found = information(np.stack([told, flat, apart], axis=1), labels)
    np.testing.assert_allclose(found, [math.log(2), 0, 0], atol=1e-12)
    # Of the four images in a bin three have its label: H(y) - H(y | bin).
    skewed = np.array([0.0, 0, 0, 1, 1, 1, 1, 0])
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    found = information(skewed[:, None], labels)
    np.testing.assert_allclose(found, [math.log(2) - quarter], atol=1e-12)


def test_gradients(two, data, work) -> None:
    term = work["term"]
    expected = {
        "taylor": np.abs(term.mean(0)),
        "taylor_image": np.abs(term).mean(0),
        "taylor_loss": np.abs(term.mean(0)),
        "fisher": (term**2).mean(0) / 2,
        "taylor_weight": work["weight"] ** 2,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(scores(two, data, name), value, rtol=1e-5, err_msg=name)


def test_batch_norm_scale() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    ).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.5, -2.0, 0.0]))
    graph = pv.trace(model, (3, 8, 8))
    found = pv.rank(model, graph, None, "bn_scale").layer("bn_scale", "0")
    np.testing.assert_allclose(found, [0.5, 2.0, 0.0])
    plain = nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    assert "bn_scale" in applicable(model, graph)
    assert set(criteria()["name"]) - set(applicable(plain, pv.trace(plain, (3, 8, 8)))) == {
        "bn_scale"
    }
    with pytest.raises(pv.errors.PruneVizError, match=r"no filter of this network has one"):
        pv.rank(plain, pv.trace(plain, (3, 8, 8)), None, "bn_scale")


def test_random_follows_the_seed(two) -> None:
    model, graph = two
    first, again, other = (
        pv.rank(model, graph, None, "random", seed=s).layer("random", "conv") for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).all()

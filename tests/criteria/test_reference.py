"""The shared pass against the slow way: one image and one criterion at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.criteria.registry import registered
from pruneviz.criteria.run import balanced
from tests.core.laws import shake
from tests.criteria.networks import Depthwise, Residual, Shared, tiny_data
from tests.criteria.reference import REFERENCE, Maps, Observed, cifar_maps, inner_layers

SHAPE = (3, 16, 16)


def observe(model: nn.Module, graph, data, maps: Maps, units=None, inner=()) -> Observed:
    order = torch.from_numpy(balanced(data.train.labels.numpy(), len(data.train), 0))
    images, labels = next(data.train.subset(order).batches(len(order)))
    return Observed(model, graph, maps, images.double(), labels, units, inner)


SLOW = [name for name in REFERENCE if registered()[name].own_pass]


@pytest.mark.parametrize("build", [Residual, Shared, Depthwise], ids=lambda b: b.__name__)
def test_small_networks(build) -> None:
    torch.manual_seed(1)
    model = shake(build()).double()
    graph, data = pv.trace(model, SHAPE), tiny_data()
    found = pv.rank(model, graph, data, list(REFERENCE), batch_size=4)
    plain = build(inplace=False).double() if build is Residual else model
    plain.load_state_dict(model.state_dict())
    seen = observe(plain, graph, data, build.MAPS, inner=getattr(build, "INNER", ()))
    assert any(len(group.layers) > 1 for group in graph.prunable_groups) or build is Shared
    for name, reference in REFERENCE.items():
        expected, scores = reference(seen)[graph.prunable], found.of(name)[graph.prunable]
        scale = np.abs(expected).max()
        assert scale > 0
        near = 1e-5 if name in SLOW else 1e-6
        np.testing.assert_allclose(scores, expected, atol=near * scale, rtol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "vgg16", "mobilenet_v2"])
def test_bundled_networks(name) -> None:
    torch.manual_seed(2)
    model = shake(pv.load_model(name)).double()
    graph, data = pv.trace(model, (3, 32, 32)), tiny_data((3, 32, 32), count=3)
    fast = [n for n in REFERENCE if n not in SLOW]
    found = pv.rank(model, graph, data, fast, batch_size=2)
    for module in model.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6)):
            module.inplace = False
    some = np.random.default_rng(0).permutation(np.flatnonzero(graph.prunable))[:200]
    seen = observe(model, graph, data, cifar_maps(model, name), some, inner_layers(model, name))
    for criterion in fast:
        expected, scores = REFERENCE[criterion](seen)[some], found.of(criterion)[some]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            scores, expected, atol=1e-6 * scale, rtol=1e-6, err_msg=criterion
        )


def test_single_precision_is_close() -> None:
    torch.manual_seed(3)
    model = shake(Residual())
    graph, data = pv.trace(model, SHAPE), tiny_data()
    fast = [n for n in REFERENCE if n not in SLOW]
    single = pv.rank(model, graph, data, fast)
    double = pv.rank(model.double(), graph, data, fast)
    for name in fast:
        a, b = (r.of(name)[graph.prunable] for r in (single, double))
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max(), err_msg=name)


def test_the_spread_survives_a_large_mean() -> None:
    """From sums of squares, single precision would lose it altogether."""
    torch.manual_seed(3)
    model = shake(Residual())
    with torch.no_grad():
        model.bn1.bias += 1000
    graph, data = pv.trace(model, SHAPE), tiny_data()
    single = pv.rank(model, graph, data, "std_activation").layer("std_activation", "conv1")
    double = pv.rank(model.double(), graph, data, "std_activation")
    np.testing.assert_allclose(single, double.layer("std_activation", "conv1"), rtol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_conductance_is_captums() -> None:
    from captum.attr import LayerConductance

    from pruneviz.criteria.conductance import STEPS

    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 5, 3, stride=2),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 8),
        nn.ReLU(),
        nn.Linear(8, 4),
    )
    model = shake(model).double()
    graph, data = pv.trace(model, SHAPE), tiny_data()
    found = pv.rank(model, graph, data, "conductance", batch_size=24)
    x, labels = next(data.train.batches(len(data.train)))
    for layer, map in (("0", "2"), ("3", "4"), ("7", "8")):
        captum = LayerConductance(model, model.get_submodule(map))
        each = captum.attribute(x.double(), target=labels, n_steps=STEPS).detach().numpy()
        expected = np.abs(each.reshape(*each.shape[:2], -1).sum(2)).mean(0)
        np.testing.assert_allclose(found.layer("conductance", layer), expected, rtol=1e-9)


def test_batch_norm_scale_by_unit() -> None:
    model = shake(Residual())
    graph = pv.trace(model, SHAPE)
    found = pv.rank(model, graph, None, "bn_scale")
    stream = (model.bn.weight.abs() + model.bn2.weight.abs()) / 2
    np.testing.assert_allclose(found.layer("bn_scale", "stem"), stream.detach(), rtol=1e-6)
    np.testing.assert_allclose(
        found.layer("bn_scale", "conv1"), model.bn1.weight.detach(), rtol=1e-6
    )


def test_filters_without_batch_norm_take_their_norm() -> None:
    model = shake(Depthwise())
    graph = pv.trace(model, SHAPE)
    found = pv.rank(model, graph, None, ["bn_scale", "l2"])
    group = graph.group("expand")
    own, norm = (found.of(c)[group.start : group.start + group.width] for c in ("bn_scale", "l2"))
    assert (np.argsort(own) == np.argsort(norm)).all()
    named = found.layer("bn_scale", "project")
    assert np.isclose(np.concatenate([own, found.layer("bn_scale", "stem")]).mean(), named.mean())

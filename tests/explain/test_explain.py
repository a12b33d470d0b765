"""One image through the network, Captum's maps, and a filter that goes alone."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import pruneviz as pv
from pruneviz.explain.alone import alone
from pruneviz.explain.attribution import METHODS, Attribution, agreement, attribute, last_map
from pruneviz.explain.conductance import STEPS, conductance
from pruneviz.explain.passage import Passages
from pruneviz.figures.conductance import conductance_figure

LAYER = "layer1.0.conv1"


@pytest.fixture(scope="module")
def loaded():  # type: ignore[no-untyped-def]
    model = pv.load_model("resnet20", weights="digits").eval()
    data = pv.load_dataset("digits")
    graph = pv.trace(model, data.input_shape)
    images, labels = next(iter(data.val.batches(4)))
    return model, graph, data, images, labels


def test_maps_are_what_hooks_see(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, _, images, _ = loaded
    seen = {}
    block = model.layer1[0]
    handle = block.bn1.register_forward_hook(lambda _m, _i, out: seen.update(out=out.relu()))
    with torch.no_grad():
        outputs = model(images[:1])
    handle.remove()
    found = Passages(model, graph)(images[0])
    np.testing.assert_allclose(found.of(LAYER), seen["out"][0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found.probabilities, outputs[0].double().softmax(0), atol=1e-6)


def test_a_dropped_filter_changes_what_comes_after_it_alone(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, _, images, _ = loaded
    plan = pv.Plan(graph).drop("layer2.0.conv1", [3])
    through = Passages(model, graph)
    before, after = through(images[0]), through(images[0], plan)
    assert not after.of("layer2.0.conv1")[3].any()
    at = before.layers.index("layer2.0.conv1")
    for name, old, new in zip(before.layers[:at], before.maps, after.maps, strict=False):
        np.testing.assert_array_equal(old, new, err_msg=name)
    assert not np.allclose(before.of("layer2.0.conv2"), after.of("layer2.0.conv2"))
    with torch.no_grad():
        expected = pv.prune(model, graph, plan)(images[:1])[0].double().softmax(0)
    np.testing.assert_allclose(after.probabilities, expected, atol=1e-5)


def test_maps_of_a_smaller_network_lie_where_they_were(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, _, images, _ = loaded
    plan = pv.Plan(graph).drop(LAYER, [0, 5]).drop("conv1", [2])
    through = Passages(model, graph)
    masked = through(images[0], plan)
    pruned = through.through(pv.prune(model, graph, plan), plan, images[0])
    for name, a, b in zip(masked.layers, masked.maps, pruned.maps, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_maps_are_captums(loaded, method: str) -> None:  # type: ignore[no-untyped-def]
    from captum import attr

    model, graph, _, images, labels = loaded
    found = attribute(model, graph, method, images, labels)
    x = images.clone().requires_grad_()
    direct = {
        "saliency": lambda: attr.Saliency(model).attribute(x, labels).mean(1),
        "integrated gradients": lambda: (
            attr.IntegratedGradients(model).attribute(x, target=labels, n_steps=24).sum(1)
        ),
        "grad-cam": lambda: attr.LayerAttribution.interpolate(
            attr.LayerGradCam(model, model.layer3[2].conv2).attribute(
                x, labels, relu_attributions=True
            ),
            (32, 32),
            "bilinear",
        )[:, 0],
        "occlusion": lambda: (
            attr.Occlusion(model)
            .attribute(x, target=labels, sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2))
            .sum(1)
        ),
    }[method]()
    np.testing.assert_allclose(found.maps, direct.detach().numpy(), rtol=1e-3, atol=1e-4)
    assert found.maps.shape == (4, 32, 32)


def test_agreement_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 8, 8)).round(1)
    found = agreement(Attribution("saliency", a, (0,) * 3), Attribution("saliency", b, (0,) * 3))
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found, expected)


def test_grad_cam_looks_at_the_last_map(loaded) -> None:  # type: ignore[no-untyped-def]
    assert last_map(loaded[1]) == "layer3.2.conv2"


def test_an_unknown_method_is_refused_with_the_choices(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, _, images, labels = loaded
    with pytest.raises(pv.errors.UnknownNameError, match="grad-cam"):
        attribute(model, graph, "magic", images, labels)


@pytest.mark.slow
def test_alone_is_masked_evaluation(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, data, _, _ = loaded
    *_, found = alone(model, graph, data, "layer3.2.conv1", images=60)
    assert found.final
    assert found.images == 60
    for index in (0, 17, 63):
        plan = pv.Plan(graph).drop("layer3.2.conv1", [index])
        masked = pv.evaluate(pv.mask(model, graph, plan), data, limit=60)
        assert found.accuracy[index] == pytest.approx(masked.accuracy)
    assert len(found.to_frame()) == 64
    assert len(found.figure().data[0].x) == 64


def test_filters_that_cannot_go_have_no_accuracy(loaded) -> None:  # type: ignore[no-untyped-def]
    model, graph, data, _, _ = loaded
    *_, found = alone(model, graph, data, "linear", images=20)
    assert np.isnan(found.accuracy).all()
    assert found.baseline > 0.9


def test_conductance_is_captums_and_adds_up(loaded) -> None:  # type: ignore[no-untyped-def]
    """All passes the first layer: the parts of its filters add up to what the answer rises."""
    from captum.attr import LayerConductance

    model, graph, _, images, labels = loaded
    with hookable(model) as own:
        direct = LayerConductance(own, own.conv1).attribute(images, target=labels, n_steps=STEPS)
        rise = own(images) - own(torch.zeros_like(images))
    found = conductance(model, graph, "conv1", images, labels, 10)
    parts = direct.detach().double().sum((2, 3)).numpy()
    for number in labels.unique().tolist():
        np.testing.assert_allclose(
            found.by_class[number], parts[(labels == number).numpy()].mean(0), rtol=1e-4, atol=1e-5
        )
    seen = sorted(set(labels.tolist()))
    assert np.isnan(np.delete(found.by_class, seen, axis=0)).all()
    whole = rise.gather(1, labels[:, None])[:, 0].double().detach().numpy()
    np.testing.assert_allclose(parts.sum(1), whole, rtol=0.2)
    frame = found.to_frame()
    assert list(frame.columns) == ["class", "filter", "conductance"]
    assert len(frame) == 160
    figure = conductance_figure(found, [str(i) for i in range(10)], chosen=3)
    assert list(figure.data[0].y) == [str(i) for i in seen]


@contextmanager
def hookable(model):  # type: ignore[no-untyped-def]
    """A copy whose activations change nothing in place, as Captum's hooks need it."""
    own = copy.deepcopy(model).eval()
    for module in own.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    yield own

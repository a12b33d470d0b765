"""Law: repair brings a cut network nearer to the unpruned one, in every family."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruneviz.repair import Repairer
from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.core.laws import random_plan, shake
from tests.core.test_families import CIFAR_FORMS, FAMILIES, zoo
from tests.repair.helpers import error, images_of

QUICK = ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5")


def check(model: nn.Module, size: int, count: int) -> None:
    data = images_of(size, count, classes=7)
    graph = trace(model, (3, size, size))
    repairer = Repairer(model, graph, data)
    x = next(data.val.batches(32))[0]
    plan = random_plan(graph, seed=1, most=0.6)
    repaired = repairer.full(plan)
    cut = error(prune(model, graph, plan), model, x)
    assert error(repaired.network, model, x) <= 1.02 * cut
    assert error(repairer.instant(plan).network, model, x) <= 1.02 * cut
    assert any(layer.refitted for layer in repaired.layers)
    for layer in repaired.layers:
        assert layer.error_after <= layer.error_before
    assert set(repaired.to_frame()["layer"]) == {x.name for x in graph.layers}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_families(name: str) -> None:
    check(zoo(name, num_classes=7), FAMILIES[name], 48)


@pytest.mark.sweep
@pytest.mark.parametrize("name", sorted(set(FAMILIES) - set(QUICK)))
def test_all_other_families(name: str) -> None:
    check(zoo(name, num_classes=7), FAMILIES[name], 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR_FORMS)
def test_bundled_networks_come_back(name: str) -> None:
    """Half of every group goes, the accuracy on images that no statistic came from comes back."""
    import pruneviz as pv

    data = pv.load_dataset("digits")
    model = pv.load_model(name, weights="digits")
    graph = pv.trace(model, data.input_shape)
    plan = pv.threshold(graph, pv.rank(model, graph, None, "l2"), "l2", 0.5)
    assert pv.evaluate(pv.prune(model, graph, plan), data).accuracy < 0.2
    repairer = Repairer(model, graph, data, images=256)
    assert pv.evaluate(repairer.full(plan).network, data).accuracy > 0.96
    assert pv.evaluate(repairer.instant(plan).network, data).accuracy > 0.75


def test_layers_behind_residual_sums_are_known() -> None:
    from pruneviz.repair.structure import structure

    model = shake(zoo("resnet18"))
    found = structure(model, trace(model, (3, 64, 64)), torch.randn(2, 3, 64, 64))
    assert found.norms["layer2.0.downsample.0"] == "layer2.0.downsample.1"
    sums = set(found.others)
    assert {"layer1.0.conv2", "layer1.1.conv2", "layer2.0.downsample.0"} <= sums
    assert not {"layer2.0.conv2", "layer1.0.conv1", "conv1"} & sums

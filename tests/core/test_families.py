"""The laws over one architecture of every torchvision CNN family and the CIFAR forms."""

from __future__ import annotations

import warnings

import pytest
import torch
import torchvision
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.errors import TraceError
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake

FAMILIES = {
    "alexnet": 64,
    "vgg11": 32,
    "vgg11_bn": 32,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "wide_resnet50_2": 32,
    "densenet121": 64,
    "googlenet": 64,
    "inception_v3": 299,
    "squeezenet1_1": 64,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v2_x0_5": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "convnext_tiny": 64,
}
LONG = {"vgg11_bn", "wide_resnet50_2", "densenet121", "inception_v3", "efficientnet_v2_s",
        "regnet_x_400mf", "regnet_y_400mf"}  # fmt: skip
CIFAR_FORMS = ("resnet20", "vgg16", "mobilenet_v2")


def zoo(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shake(torchvision.models.get_model(name, weights=None, **options))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.sweep if n in LONG else ()) for n in FAMILIES]
)
def test_laws_over_torchvision(name: str) -> None:
    model = zoo(name, num_classes=7)
    size = FAMILIES[name]
    graph = trace(model, (3, size, size))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    for seed in range(1 if size > 64 else 2):
        check_laws(model, graph, random_plan(graph, seed), images)
    assert [x.name for x in graph.layers if not x.prunable] == expected_unprunable(name, graph)


def expected_unprunable(name: str, graph: ChannelGraph) -> list[str]:
    if name.startswith("shufflenet"):  # the shuffled trunk is one unit, the inner layers are free
        stuck = [x.name for x in graph.layers if not x.prunable]
        assert all("branch" in x for x in stuck[:-1])
        assert not any(".branch2.0" in x for x in stuck)
        return stuck
    heads = {"googlenet": ["aux1.fc2", "aux2.fc2"], "inception_v3": ["AuxLogits.fc"]}
    names = [x.name for x in graph.layers]
    classifier = [n for n in names if n in ("fc", "classifier") or n.startswith("classifier.")]
    order = {n: i for i, n in enumerate(names)}
    return sorted([classifier[-1], *heads.get(name, [])], key=order.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR_FORMS)
def test_laws_over_the_cifar_forms(name: str) -> None:
    from pruneviz.catalog import load_model

    torch.manual_seed(0)
    model = shake(load_model(name, num_classes=7))
    graph = trace(model, (3, 32, 32))
    images = torch.randn(2, 3, 32, 32)
    for seed in range(3):
        check_laws(model, graph, random_plan(graph, seed), images)
    assert sum(not x.prunable for x in graph.layers) == 1


def test_residual_stages_are_one_group_and_grouped_convolutions_go_by_groups() -> None:
    graph = trace(zoo("resnet50"), (3, 64, 64))
    stage = graph.group("layer1.0.conv3")
    assert stage.layers == (
        "layer1.0.conv3",
        "layer1.0.downsample.0",
        "layer1.1.conv3",
        "layer1.2.conv3",
    )
    assert (stage.width, stage.channels) == (256, 4)
    graph = trace(zoo("resnext50_32x4d"), (3, 64, 64))
    inner = graph.group("layer1.0.conv1")
    assert (inner.width, inner.layers) == (32, ("layer1.0.conv1", "layer1.0.conv2"))
    assert "whole groups" in inner.note


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t"])
def test_transformers_are_refused(name: str) -> None:
    with pytest.raises(TraceError, match="is not a CNN"):
        trace(zoo(name), (3, 224, 224))


def test_costs_of_known_networks() -> None:
    """Published multiply-adds and parameters at 224x224 (torchvision's own tables)."""
    from pruneviz.cost import cost

    known = {
        "resnet50": (4_089_184_256, 25_557_032),
        "mobilenet_v2": (300_774_272, 3_504_872),
        "alexnet": (714_188_480, 61_100_840),
    }
    for name, (macs, params) in known.items():
        found = cost(trace(zoo(name), (3, 224, 224)))
        assert (found.macs, found.params) == (macs, params)

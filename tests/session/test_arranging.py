"""Groups are found by names and stages, and put in order."""

from __future__ import annotations

import pytest

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.session.arranging import Wanted, arrange


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    return pv.trace(pv.load_model("resnet20", weights=None), (3, 32, 32))


def found(graph: ChannelGraph, **wanted: object) -> list[str]:
    plan = pv.Plan(graph).drop("layer2.1.conv1", [0]).drop("layer3.2.conv1", range(32))
    cost = pv.cost(graph, plan)
    macs = dict(zip(cost.layers, cost.layer_macs, strict=True))
    places = arrange(graph, Wanted(**wanted), plan.ratios(), macs)  # type: ignore[arg-type]
    return [graph.prunable_groups[i].name for i in places]


def test_all_in_the_networks_order_unless_asked(graph: ChannelGraph) -> None:
    assert found(graph) == [group.name for group in graph.prunable_groups]


def test_a_search_looks_at_titles_and_layers(graph: ChannelGraph) -> None:
    assert found(graph, search=" Stage 2 STREAM ") == ["layer2.0.conv2"]
    assert "conv1" in found(graph, search="layer3.1.conv2")
    assert found(graph, search="nowhere") == []


def test_a_stage_and_what_was_pruned(graph: ChannelGraph) -> None:
    assert found(graph, stage=2) == [
        "layer2.0.conv1",
        "layer2.0.conv2",
        "layer2.1.conv1",
        "layer2.2.conv1",
    ]
    assert found(graph, changed=True) == ["layer2.1.conv1", "layer3.2.conv1"]


def test_orders(graph: ChannelGraph) -> None:
    assert found(graph, order="pruned")[:2] == ["layer3.2.conv1", "layer2.1.conv1"]
    assert found(graph, order="macs")[0] == "conv1"
    assert found(graph, order="name")[-1].startswith("layer3")
    with pytest.raises(pv.errors.UnknownNameError, match="macs"):
        found(graph, order="magic")

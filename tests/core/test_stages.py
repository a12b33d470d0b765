"""Blocks, stages and groups' titles, read off real networks."""

from __future__ import annotations

from itertools import pairwise

import pytest

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.stages import blocks, group_title, group_titles


def traced(name: str, side: int = 64) -> ChannelGraph:
    return pv.trace(pv.load_model(name, weights=None), (3, side, side))


@pytest.fixture(scope="module")
def resnet() -> ChannelGraph:
    return traced("resnet20", 32)


def test_a_residual_stream_is_called_by_its_stage(resnet: ChannelGraph) -> None:
    titles = group_titles(resnet)
    assert titles["conv1"] == "stage 1 stream: conv1 + 9 layers"
    assert titles["layer3.0.conv2"] == "stage 3 stream: layer3.0.conv2 + 2 layers"
    assert titles["layer1.0.conv1"] == "layer1.0.conv1"


def test_an_unknown_group_is_refused_with_the_choices(resnet: ChannelGraph) -> None:
    with pytest.raises(pv.errors.UnknownNameError, match="conv1"):
        group_title(resnet, "nowhere")


def test_additions_are_wired_from_block_to_block(resnet: ChannelGraph) -> None:
    added = [(w.source, w.target) for w in resnet.wires if w.kind == "adds"]
    ends = ["conv1", *(f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in (0, 1, 2))]
    assert added == list(pairwise(ends))
    reads = [(w.source, w.target) for w in resnet.wires if w.kind == "reads"]
    assert ("layer3.2.conv2", "linear") in reads
    assert len(reads) == len(resnet.layers) - 1


@pytest.mark.parametrize(
    ("name", "side", "sizes", "stages"),
    [
        ("resnet20", 32, [1] + 9 * [2] + [1], 3),
        ("vgg16", 32, 14 * [1], 5),
        ("resnet50", 64, [1, 4, 3, 3, 4, 3, 3, 3, 4, 3, 3, 3, 3, 3, 4, 3, 3, 1], 4),
        ("mobilenet_v2", 32, [1, 2] + 16 * [3] + [1, 1], 4),
    ],
)
def test_blocks_are_modules(name: str, side: int, sizes: list[int], stages: int) -> None:
    graph = traced(name, side)
    found = blocks(graph)
    assert [len(block.layers) for block in found] == sizes
    assert [n for block in found for n in block.layers] == [x.name for x in graph.layers]
    assert max(block.stage for block in found) == stages


def test_concatenation_and_gates_are_wired() -> None:
    squeeze = traced("squeezenet1_0", 64)
    joined = [(w.source, w.target) for w in squeeze.wires if w.kind == "concatenates"]
    assert ("features.3.expand1x1", "features.3.expand3x3") in joined
    gated = traced("efficientnet_b0", 64)
    products = [(w.source, w.target) for w in gated.wires if w.kind == "multiplies"]
    assert ("features.1.0.block.0.0", "features.1.0.block.1.fc2") in products


def test_titles_are_never_shared() -> None:
    for name in ("resnet50", "efficientnet_b0", "shufflenet_v2_x1_0"):
        titles = group_titles(traced(name, 64))
        assert len(set(titles.values())) == len(titles)

"""The ribbon: where bars, arcs and blocks lie, and the still picture of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.figures.ribbon import kept_filters, ribbon_layout
from pruneviz.figures.ribbon_svg import described, ribbon_svg
from pruneviz.figures.style import short_title


@pytest.fixture(scope="module")
def resnet() -> ChannelGraph:
    return pv.trace(pv.load_model("resnet20", weights=None), (3, 32, 32))


@pytest.fixture(scope="module")
def dense() -> ChannelGraph:
    return pv.trace(pv.load_model("densenet121", weights=None), (3, 64, 64))


def test_bars_lie_side_by_side_as_high_as_they_are_wide(resnet: ChannelGraph) -> None:
    ribbon = ribbon_layout(resnet)
    assert [bar.layer for bar in ribbon.bars] == [layer.name for layer in resnet.layers]
    assert all(a.x + a.width < b.x for a, b in pairwise(ribbon.bars))
    assert ribbon.bars[-1].x + ribbon.bars[-1].width == pytest.approx(ribbon.width)
    assert [ribbon.bars[i].height for i in (0, 7, 18)] == pytest.approx([0.5, 0.5**0.5, 1])
    assert [s.label for s in ribbon.stages] == ["stem", "stage 1", "stage 2", "stage 3"]


def test_a_layer_knows_all_that_are_coupled_to_it(resnet: ChannelGraph) -> None:
    ribbon = ribbon_layout(resnet)
    first = ribbon.bars[0]
    assert first.group == "stage 1 stream: conv1 + 9 layers"
    assert [ribbon.bars[i].layer for i in first.coupled] == [
        f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in (0, 1, 2)
    ]
    assert ribbon.bars[1].coupled == ()


def test_dropping_one_filter_narrows_all_ten_bars(resnet: ChannelGraph) -> None:
    plan = pv.Plan(resnet).drop("conv1", [3])
    kept = kept_filters(resnet, plan.kept)
    bars = ribbon_layout(resnet).bars
    narrower = [b.layer for b, k in zip(bars, kept, strict=True) if k == b.filters - 1]
    assert narrower == [bars[0].layer, *(bars[i].layer for i in bars[0].coupled)]
    assert sum(bar.filters for bar in bars) - sum(kept) == 10


def test_arcs_are_the_additions(resnet: ChannelGraph) -> None:
    ribbon = ribbon_layout(resnet)
    assert [(a.source, a.target, a.kind) for a in ribbon.arcs] == [
        (i, i + 2, "adds") for i in range(0, 18, 2)
    ]


def test_large_networks_begin_folded_and_blocks_unfold(dense: ChannelGraph) -> None:
    ribbon = ribbon_layout(dense)
    assert len(ribbon.bars) == 121
    assert sum(fold.folded for fold in ribbon.folds) == 58
    assert ribbon.width < 1000
    # of all 535 concatenations, those from a dense layer to the next
    assert len(ribbon.arcs) == 58
    name = "features.denseblock3.denselayer5"
    wider = ribbon_layout(dense, unfolded={name})
    (opened,) = (f for f in wider.folds if f.name == name)
    assert not opened.folded
    assert opened.width > next(f for f in ribbon.folds if f.name == name).width
    assert sum(fold.folded for fold in wider.folds) == 57


def test_no_arc_stays_within_a_folded_block(dense: ChannelGraph) -> None:
    ribbon = ribbon_layout(dense)
    for arc in ribbon.arcs:
        ends = [ribbon.folds[ribbon.bars[i].fold] for i in (arc.source, arc.target)]
        assert ends[0] != ends[1]
        assert arc.x0 < arc.x1


def test_the_still_picture_holds_the_same(resnet: ChannelGraph, tmp_path: Path) -> None:
    plan = pv.Plan(resnet).drop("conv1", [0, 1, 2, 3])
    picture = resnet.figure(plan=plan, ribbon=True)
    file = picture.save(tmp_path / "ribbon.svg")
    root = ET.parse(file).getroot()
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "20 layers in 3 stages, 40 of 698 output channels pruned"
    assert titles[1] == "conv1: 16 filters, 4 pruned"
    assert len(titles) == 21
    rects = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    gone, left = (float(r.get("height", "")) for r in rects[:2])
    # as tall as a bar of 12 filters would be
    assert (left / (left + gone)) ** 2 == pytest.approx(12 / 16, abs=1e-3)
    assert picture._repr_svg_() == picture.text


def test_the_picture_says_it_in_words(resnet: ChannelGraph) -> None:
    ribbon = ribbon_layout(resnet)
    whole = [bar.filters for bar in ribbon.bars]
    assert "0 of 698" in described(ribbon, whole)
    assert ribbon_svg(ribbon, dark=True).text != ribbon_svg(ribbon).text


def test_a_title_gives_way_in_its_layers_name() -> None:
    assert short_title("stage 1 stream: conv1 + 9 layers") == "stage 1 stream: conv1 + 9 layers"
    short = short_title("stage 4 stream: trunk_output.block4.block4-0.proj.0 + 5 layers")
    assert short.startswith("stage 4 stream: …")
    assert short.endswith(" + 5 layers")
    assert short_title("features.denseblock3.denselayer17.conv2", 20) == "…denselayer17.conv2"

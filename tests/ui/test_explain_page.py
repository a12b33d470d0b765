"""The page Explain: every view, with a pruned filter, and what is computed in the background."""

from __future__ import annotations

import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import pruneviz as pv
from pruneviz.explain.passage import Passages
from pruneviz.explain.tiles import MOST, SIDE, tiles
from pruneviz.session.decisions import drop_by_hand
from pruneviz.ui.explain import one_filter
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts


def opened(studio: Open, view: str) -> AppTest:
    page = sound(studio("explain", explain=view))
    session = page.session_state["session"]
    session.take(drop_by_hand(session.decisions, frozenset(range(16, 28)), "some filters"))
    return sound(page.run())


def until(page: AppTest, text: str) -> AppTest:
    """Draw the page until it says so."""
    for _ in range(200):
        if text in texts(page):
            return page
        time.sleep(0.3)
        sound(page.run())
    pytest.fail(f"'{text}' was never said: {texts(page)}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("One image", "one filter's feature map"),
        pytest.param("What it looks at", "Rank correlation of the maps", marks=pytest.mark.sweep),
        ("New and fixed errors", " fixed**"),
        ("Remove one filter", "filters can each be removed"),
    ],
)
def test_views_come_to_their_results(studio: Open, view: str, text: str) -> None:
    until(opened(studio, view), text)


def test_tiles_are_few_and_small_and_the_difference_is_signed() -> None:
    model, data = pv.load_model("resnet20", weights="digits"), pv.load_dataset("digits")
    graph = pv.trace(model, data.input_shape)
    send = Passages(model, graph)
    image = next(iter(data.val.batches(1)))[0][0]
    before = send(image)
    after = send(image, pv.Plan(graph).drop("layer1.0.conv1", [3]))
    shown = tiles(before, after, ["conv1", "layer1.0.conv1", "layer3.0.conv1"], "difference")
    assert [t.layer for t in shown] == ["conv1", "layer1.0.conv1", "layer3.0.conv1"]
    first, second, third = shown
    assert (first.values == 128).all()
    changed = np.flatnonzero((second.values != 128).any((1, 2)))
    assert [second.filters[i] for i in changed] == [3]
    assert third.values.shape == (MOST, 8, 8)
    assert third.more == 64 - MOST
    assert first.values.shape[1:] == (SIDE, SIDE)


@pytest.mark.slow
def test_the_classes_that_suffer_from_one_filter_and_those_it_speaks_for(studio: Open) -> None:
    page = until(opened(studio, "Remove one filter"), "Which classes suffer without filter")
    page = sound(page.selectbox(key="alone_filter").set_value(5).run())
    page = until(page, "Which classes suffer without filter 5")
    loaded = page.session_state["session"].workbench
    measured = one_filter.without(loaded, "conv1", 5)
    plan = pv.Plan(loaded.graph).drop("conv1", [5])
    expected = pv.evaluate(pv.mask(loaded.model, loaded.graph, plan), loaded.data)
    assert measured.per_class == expected.per_class
    page = sound(page.toggle(key="conductance").set_value(True).run())
    until(page, "Orange: for their class")

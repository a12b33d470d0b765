"""The studio at 390 pixels: the bar on one line, the chart before the sliders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_journeys import press

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
LINE = 40
"""Pixels that a line of buttons needs at most."""


def height(page: Any, place: str) -> float:
    return float(page.locator(place).first.bounding_box()["height"])


def test_the_bar_is_one_line_and_unfolds(address: str, page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/prune")
    folded = page.locator(".pv-folded .pv-brief")
    folded.get_by_text("99.0").wait_for()
    chart = page.locator(".st-key-chart_first .stPlotlyChart").bounding_box()
    slider = page.get_by_role("slider", name="Pruning ratio, whole network")
    assert chart["y"] < slider.bounding_box()["y"]

    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Fine-tune", exact=True).wait_for()
    folded.get_by_text("repair").wait_for()
    assert height(page, ".st-key-planbar") < LINE
    words = " ".join(page.locator(".pv-bar").inner_text().split())
    assert words.startswith("MACs \N{MINUS SIGN}"), words
    bar = page.locator(".pv-bar").bounding_box()
    for part in folded.all():  # none is cut off
        box = part.bounding_box()
        assert box["x"] + box["width"] <= bar["x"] + bar["width"] + 1, part.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    press(page, "All numbers")
    page.locator(".pv-bar").get_by_text("of 400").first.wait_for()
    assert page.get_by_role("button", name="Redo").is_visible()
    assert height(page, ".st-key-planbar") > LINE
    press(page, "Fewer numbers")
    folded.first.wait_for()
    assert height(page, ".st-key-planbar") < LINE


def test_views_without_a_chart_stay_where_the_others_are(address: str, page: Any) -> None:
    """Their names went below the sliders, out of sight, as soon as one of them was touched."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/prune")
    page.locator(".st-key-chart_first .stPlotlyChart").wait_for()
    for view in ("History", "Latency", "Prunability", "Trade-off"):
        name = page.get_by_role("radio", name=view, exact=True)
        name.click()
        page.wait_for_timeout(3000)
        assert name.bounding_box()["y"] < 844, view

"""The network ribbon, by mouse and by keyboard."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_journeys import press

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def bar(page: Any, layer: str) -> Any:
    return page.locator(f'.rb .bar[data-layer="{layer}"]')


@pytest.mark.sweep
def test_pointing_lights_what_is_coupled_and_a_click_leads_there(address: str, page: Any) -> None:
    page.goto(f"{address}/prune")
    bar(page, "conv1").hover()
    page.locator(".rb-text").get_by_text("coupled with 9 layers").wait_for()
    assert page.locator(".rb .bar.lit").count() == 10
    bar(page, "layer2.0.conv1").click()
    page.get_by_role("heading", name="Rank", exact=True).wait_for()
    page.wait_for_url("**layer=layer2.0.conv1**")
    bar(page, "layer2.0.conv1").and_(page.locator(".chosen")).wait_for()


@pytest.mark.slow
def test_the_keyboard_walks_and_folds(address: str, page: Any) -> None:
    page.goto(f"{address}/sensitivity")
    bar(page, "conv1").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".rb-text").get_by_text("layer1.0.conv1: 16 filters").wait_for()
    press(page, "Fold blocks")
    page.get_by_role("button", name="Unfold all blocks").wait_for()
    bar(page, "layer1.0.conv1").focus()
    page.locator(".rb-text").get_by_text("in the folded block layer1.0").wait_for()
    page.keyboard.press("Enter")  # unfolds the block, and stays
    page.locator(".rb-text").get_by_text(
        "layer1.0.conv1: 16 filters, 0 pruned", exact=True
    ).wait_for()
    assert page.get_by_role("heading", name="Sensitivity", exact=True).count()

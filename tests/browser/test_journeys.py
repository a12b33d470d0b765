"""What people do, in a real browser."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

WHOLE = "Pruning ratio, whole network"
LOAD_AGAIN = """
import sys
import pruneviz as pv
from pruneviz.export import load_bundle
network = load_bundle(sys.argv[1])
print("accuracy", pv.evaluate(network, pv.load_dataset("digits")).accuracy)
"""


def bar(page: Any) -> str:
    """The text of the bar that is on every page."""
    return " ".join(page.locator(".pv-bar").first.inner_text().split())


def wait_for_bar(page: Any, text: str) -> None:
    exact = text.endswith("of 400")  # "120 of 400" has "0 of 400" in it
    page.locator(".pv-bar").get_by_text(text, exact=exact).first.wait_for()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name).first.click()


def go_to(page: Any, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def drop(page: Any, percent: int) -> None:
    """Move the slider for all groups by keyboard, as quickly as the keys can be pressed."""
    slider = page.get_by_role("slider", name=WHOLE).first
    slider.wait_for()
    now = int(re.match(r"\d+", slider.get_attribute("aria-valuetext")).group())
    slider.focus()
    for _ in range(abs(percent - now)):
        page.keyboard.press("ArrowRight" if percent > now else "ArrowLeft")
    wait_for_bar(page, f"{4 * percent} of 400")


def open_prune(page: Any, address: str) -> None:
    page.goto(f"{address}/prune")
    page.get_by_role("slider", name=WHOLE).first.wait_for()
    wait_for_bar(page, "0 of 400")
    wait_for_bar(page, "99.0")  # measured: the page is not drawn anew any more


def replay(page: Any) -> None:
    """Play the run from its repair to its last epoch, and see the network's colours change."""
    page.reload()  # a run that was not seen under way waits folded on its card
    page.get_by_text("are now correct").click()
    card = page.locator('[class*="st-key-run_"]').first
    bar, legend = card.locator(".rb .bar .left").nth(2), card.locator(".rb-legend")
    legend.get_by_text("since the epoch before").wait_for()
    last = bar.get_attribute("fill")
    card.get_by_role("slider").focus()
    page.keyboard.press("Home")
    legend.get_by_text("since the cut, by the repair").wait_for()
    first = bar.get_attribute("fill")
    assert first != last, "the repair changes more than an epoch does"
    press(card, "Play")
    legend.get_by_text("since the epoch before").wait_for()
    card.get_by_role("button", name="Play").wait_for()
    assert bar.get_attribute("fill") == last


@pytest.mark.slow
def test_from_the_first_page_to_an_exported_network(
    address: str, page: Any, tmp_path: Path
) -> None:
    page.goto(address)
    page.get_by_role("heading", name="Choose", exact=True).wait_for()
    page.get_by_role("button", name="Prune the lowest").wait_for()

    go_to(page, "Prune")
    drop(page, 50)
    wait_for_bar(page, "points")  # the accuracy of the plan, previewed
    assert "50" in page.get_by_role(
        "slider", name="Pruning ratio, whole network"
    ).first.get_attribute("aria-valuetext")
    before = bar(page)
    assert "−" in before

    press(page, "Fine-tune")
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    press(page, "Start")
    page.get_by_text(re.compile(r"^(running|queued)$")).first.wait_for()
    page.reload()  # the run goes on meanwhile
    page.get_by_text("done", exact=True).first.wait_for(timeout=400_000)
    line = page.get_by_text(re.compile(r"M\sMACs.*top-1\s")).first.inner_text()
    saved = float(re.search(r"\(−([\d.]+)\s*%\)", line).group(1))
    after = float(re.search(r"→\s*([\d.]+)\s*%", line).group(1))
    assert saved > 50, f"half of the units is more than half of the MACs: {line}"
    assert after >= 98.0, f"within a point of the baseline's 99.0 %: {line}"
    replay(page)

    go_to(page, "Export")
    with page.expect_download() as download:
        press(page, "Everything (zip)")
    exported = tmp_path / "exported.zip"
    download.value.save_as(exported)
    again = subprocess.run(
        [sys.executable, "-c", LOAD_AGAIN, str(exported)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    accuracy = float(again.stdout.split()[-1])
    assert round(100 * accuracy, 1) == after


@pytest.mark.sweep
def test_undo_redo_reload_branch_and_compare(address: str, page: Any) -> None:
    open_prune(page, address)
    drop(page, 30)
    press(page, "Undo")
    before = re.compile(r"^(?!120 of)\d+ of 400$")
    page.locator(".pv-bar").get_by_text(before).first.wait_for()
    press(page, "Redo")
    wait_for_bar(page, "120 of 400")
    wait_for_bar(page, "points")
    page.reload()  # the address says what is in hand
    wait_for_bar(page, "120 of 400")
    assert "30" in page.get_by_role(
        "slider", name="Pruning ratio, whole network"
    ).first.get_attribute("aria-valuetext")

    page.get_by_role("radio", name="History").click()
    page.get_by_role("button", name="nothing pruned").click()
    wait_for_bar(page, "0 of 400")
    drop(page, 10)  # a branch
    wait_for_bar(page, "points")
    page.get_by_role("button", name=re.compile("fisher 30 %")).wait_for()
    page.get_by_role("button", name=re.compile("fisher 10 %")).wait_for()
    page.get_by_role("combobox", name="Compare").wait_for()
    page.get_by_test_id("stDataFrame").first.wait_for()


@pytest.mark.sweep
def test_a_click_on_a_filter_drops_it_and_what_is_tied_to_it(address: str, page: Any) -> None:
    page.goto(f"{address}/rank?layer=layer1.0.conv1")
    wait_for_bar(page, "0 of 400")
    wait_for_bar(page, "99.0")  # measured: the page is not drawn anew any more
    page.get_by_text("Click a filter to prune or keep it").wait_for()
    bars = page.locator(".stPlotlyChart").nth(1).locator(".bars .point path")
    bars.nth(5).wait_for()
    bars.nth(5).scroll_into_view_if_needed()
    bars.nth(5).click(force=True)
    wait_for_bar(page, "1 of 400")
    page.get_by_role("button", name="Clear 1 manual pick").wait_for()
    press(page, "Undo")
    wait_for_bar(page, "0 of 400")


@pytest.mark.sweep
def test_two_visitors_keep_their_own_plans_and_share_runs(
    address: str, page: Any, chromium: Any
) -> None:
    open_prune(page, address)
    context = chromium.new_context(viewport={"width": 1024, "height": 768})
    context.set_default_timeout(90_000)
    other = context.new_page()
    open_prune(other, address)
    drop(page, 20)
    drop(other, 40)
    wait_for_bar(page, "80 of 400")
    wait_for_bar(other, "160 of 400")
    press(page, "Fine-tune")
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    page.get_by_role("spinbutton", name="Epochs").fill("1")
    page.keyboard.press("Tab")
    press(page, "Start")
    page.get_by_text("done", exact=True).first.wait_for(timeout=400_000)
    go_to(other, "Runs")
    other.get_by_text("done", exact=True).first.wait_for()
    wait_for_bar(other, "160 of 400")
    context.close()

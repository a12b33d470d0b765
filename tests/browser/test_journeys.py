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
    page.locator(".pv-bar").get_by_text(text).first.wait_for()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name).first.click()


def go_to(page: Any, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def half(page: Any) -> None:
    """Move the slider for all groups to 50 %, as a hand does: quickly, then looking again."""
    slider = page.get_by_role("slider", name="All groups").first
    for _ in range(10):
        if "200 of 400" in bar(page):
            return
        missing = 50 - int(re.match(r"\d+", slider.get_attribute("aria-valuetext")).group())
        slider.focus()
        if not missing:  # moved while the page was redrawn: move it once more
            page.keyboard.press("ArrowLeft")
            missing = 1
        for _ in range(abs(missing)):
            page.keyboard.press("ArrowRight" if missing > 0 else "ArrowLeft")
        page.wait_for_timeout(3000)
    raise AssertionError(f"the costs do not follow the slider: {bar(page)}")


def test_from_the_first_page_to_an_exported_network(
    address: str, page: Any, tmp_path: Path
) -> None:
    page.goto(address)
    page.get_by_role("heading", name="Choose", exact=True).wait_for()
    page.get_by_role("button", name="Drop the lowest").wait_for()

    go_to(page, "Prune")
    half(page)
    wait_for_bar(page, "points")  # the accuracy of the plan, previewed
    assert "50" in page.get_by_role("slider", name="All groups").first.get_attribute(
        "aria-valuetext"
    )
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

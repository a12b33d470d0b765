"""Networks of their real size on real images, in a real browser: minutes each."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pruneviz.ui.explain import page as explain_page
from pruneviz.ui.prune import page as prune_page
from tests.browser.conftest import ROOT, studio_at
from tests.browser.controls import pick
from tests.browser.test_journeys import WHOLE, bar, go_to, press

pytestmark = [pytest.mark.browser, pytest.mark.sweep, pytest.mark.timeout(2400)]

MINUTE = 60_000
WRONG = ("hit a bug", "encountered an error", "Page not found")
LOAD_AGAIN = """
import sys
import pruneviz as pv
from pruneviz.export import load_bundle
network = load_bundle(sys.argv[1])
data = pv.load_dataset("folder", root=sys.argv[2])
print("accuracy", pv.evaluate(network, data, limit=int(sys.argv[3])).accuracy)
"""


@pytest.fixture
def studio(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A studio that finds the real weights, as if they had been downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    with studio_at(tmp_path / "home") as printed:
        found = re.search(r"PruneViz is at (http://[^\s/]+)", "".join(printed))
        assert found
        yield found.group(1)


def choose(page: Any, label: str, text: str) -> None:
    """Pick an entry of a list by typing a part of it."""
    pick(page, label, text, typed=text)


def shows(page: Any, label: str, text: str) -> None:
    """Wait until a list shows an entry."""
    box = f'input[aria-label="{label}"]'
    page.wait_for_function(
        "([box, text]) => document.querySelector(box)?.value.includes(text)", arg=[box, text]
    )


def is_whole(page: Any) -> None:
    """No page says that it broke."""
    for sentence in WRONG:
        assert not page.get_by_text(sentence).count(), f"{page.url}: {sentence}"


def finished(page: Any, number: int) -> str:
    """Wait until that many runs are done; what the newest one's card says."""
    page.get_by_text("done", exact=True).nth(number - 1).wait_for(timeout=15 * MINUTE)
    said: str = page.get_by_text(re.compile(r"top-1\s")).first.inner_text()
    return said


def prune(page: Any, percent: int) -> None:
    slider = page.get_by_role("slider", name=WHOLE).first
    slider.wait_for()
    slider.focus()
    for _ in range(percent):
        page.keyboard.press("ArrowRight")


def test_own_images_with_squeezenet_to_a_pruned_export(
    studio: str, page: Any, shared: Path, tmp_path: Path
) -> None:
    page.set_default_timeout(1.5 * MINUTE)
    images = shared / "data" / "hymenoptera-256.zip"
    page.goto(studio)
    page.locator(".pv-bar").get_by_text("99.0").first.wait_for()
    choose(page, "Network", "squeezenet1_0")
    shows(page, "Weights", "imagenet")  # it is here, so it is offered first
    choose(page, "Data", "your own images")
    page.locator('input[type="file"]').first.set_input_files(images)
    page.get_by_text("File uploaded").wait_for()
    page.get_by_role("button", name="Load", exact=True).click()
    page.get_by_role("button", name="Fine-tune it first").click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    press(page, "Start")
    tuned = finished(page, 1)
    assert percent_of(tuned) >= 86.0, tuned
    from_weights_to_an_export(page, images, tmp_path)


def from_weights_to_an_export(page: Any, images: Path, folder: Path) -> None:
    """Take up what fine-tuning left, prune and repair it, export it, load it elsewhere."""
    press(page, "Use these weights")
    page.get_by_role("heading", name="Choose", exact=True).wait_for()
    page.locator(".pv-bar").get_by_text(re.compile(r"\d+\.\d\s%")).first.wait_for()
    is_whole(page)
    go_to(page, "Prune")
    prune(page, 30)
    page.locator(".pv-bar").get_by_text(re.compile("repair")).first.wait_for()
    page.locator(".pv-bar").get_by_text(re.compile("points")).first.wait_for()
    is_whole(page)

    page.set_default_timeout(5 * MINUTE)  # the network is repaired whole, and measured
    go_to(page, "Export")
    metric = page.get_by_test_id("stMetric").first
    shown = metric.get_by_test_id("stMetricValue")
    shown.get_by_text(re.compile(r"\d+\.\d")).wait_for()
    with page.expect_download() as download:
        press(page, "Everything (zip)")
    exported = folder / "exported.zip"
    download.value.save_as(exported)
    said = percent_of(shown.inner_text())
    images_of = re.search(r"on (\d+) images", metric.inner_text())
    assert images_of, "the figure says of how many images it is"
    again = subprocess.run(
        [sys.executable, "-c", LOAD_AGAIN, str(exported), str(images), images_of.group(1)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert round(100 * float(again.stdout.split()[-1]), 1) == said
    assert said >= 80.0, bar(page)
    is_whole(page)


def percent_of(text: str) -> float:
    """The last percentage in a text."""
    return float(re.findall(r"([\d.]+)\s*%", text.partition("·")[2] or text)[-1])


@pytest.mark.parametrize("network", ["resnet50", "densenet121"])
def test_every_page_and_view_of_a_large_network(
    studio: str, page: Any, shared: Path, network: str
) -> None:
    """Its weights are random ones: what is looked at is that every page copes with its size."""
    page.set_default_timeout(4 * MINUTE)
    page.goto(studio)
    page.locator(".pv-bar").get_by_text("99.0").first.wait_for()
    choose(page, "Network", f"{network} ")
    choose(page, "Weights", "random")
    choose(page, "Data", "your own images")
    page.locator('input[type="file"]').first.set_input_files(
        shared / "data" / "hymenoptera-256.zip"
    )
    page.get_by_text("File uploaded").wait_for()
    page.get_by_role("button", name="Load", exact=True).click()
    page.get_by_role("button", name="Fine-tune it first").wait_for()
    for tab in ("The whole network", "Costs by layer", "Accuracy by class"):
        open_tab(page, tab)
    look_around(page)
    go_to(page, "Prune")
    prune(page, 30)
    page.locator(".pv-bar").get_by_text(re.compile("^[1-9][0-9,]* of ")).first.wait_for()
    look_around(page)


def look_around(page: Any) -> None:
    """Open every page, and on it every view."""
    go_to(page, "Rank")
    for tab in ("One layer", "Two criteria"):
        open_tab(page, tab)
    go_to(page, "Prune")
    for view in prune_page.VIEWS:
        open_view(page, view)
    go_to(page, "Explain")
    for view in explain_page.VIEWS:
        open_view(page, view)
    for other in ("Sensitivity", "Runs", "Export", "Lessons", "Help"):
        go_to(page, other)
        settle(page)
    go_to(page, "Lab")
    for tab in ("Claims of the papers", "Race of strategies", "Study of pretraining"):
        open_tab(page, tab)
    open_tab(page, "Trust meter")


def open_tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    settle(page)


def open_view(page: Any, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    settle(page)


def settle(page: Any) -> None:
    """Wait until nothing is on its way any more, and look whether all of it has come."""
    page.wait_for_timeout(1000)
    page.wait_for_function("() => !document.querySelector('.stSpinner')")
    page.wait_for_timeout(500)
    is_whole(page)

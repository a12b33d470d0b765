"""The README's pictures, taken anew: `python -m tests.browser.pictures` (needs Chromium)."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, ROOT, studio_at
from tests.browser.test_journeys import go_to, open_prune, press, wait_for_bar

FOLDER = ROOT / ".github" / "images"
SIZE = {"width": 1440, "height": 900}
REST_MS = 3_000
SETTLED_MS = 12_000
PATIENCE_MS = 300_000


def take(page: Any, folder: Path, name: str) -> None:
    """Take the picture once the page has come to rest."""
    page.mouse.move(720, 2)
    page.wait_for_timeout(REST_MS)
    page.screenshot(path=folder / f"{name}.png")
    print(folder / f"{name}.png", flush=True)


def walk(page: Any, address: str, folder: Path) -> None:
    """Go through the studio as the README tells it."""
    page.goto(address)
    page.get_by_role("button", name="Prune the lowest").wait_for()
    measuring = page.get_by_text(re.compile(r"Measuring \d+ plans"))
    measuring.wait_for()
    measuring.wait_for(state="hidden")
    take(page, folder, "choose")

    open_prune(page, address)
    slider = page.get_by_role("slider", name="Pruning ratio, whole network").first
    for percent in (15, 30, 45, 60):
        slider.focus()
        now = int(re.match(r"\d+", slider.get_attribute("aria-valuetext")).group())  # type: ignore[union-attr]
        for _ in range(percent - now):
            page.keyboard.press("ArrowRight")
        wait_for_bar(page, f"{4 * percent} of 400")
        wait_for_bar(page, "before repair")
    press(page, "Best plan for this budget")
    page.get_by_text("Searching for the best plan").first.wait_for()
    page.get_by_text("Searching for the best plan").first.wait_for(state="hidden")
    page.wait_for_timeout(SETTLED_MS)  # instant repair gives way to the full one
    take(page, folder, "prune")

    page.get_by_role("button", name="Fine-tune", exact=True).first.click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    press(page, "Start")
    page.get_by_text("done", exact=True).first.wait_for()
    page.wait_for_timeout(SETTLED_MS)  # the note that it is done goes away
    take(page, folder, "runs")

    go_to(page, "Rank")
    take(page, folder, "rank")
    go_to(page, "Sensitivity")
    press(page, "Scan")
    page.get_by_role("button", name="Scan again").wait_for()
    page.wait_for_timeout(SETTLED_MS)
    take(page, folder, "sensitivity")
    go_to(page, "Lab")
    take(page, folder, "lab")


def main(folder: Path = FOLDER) -> None:
    """Serve a studio with an empty home, and take the pictures in it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as home,
        studio_at(Path(home)) as printed,
        sync_playwright() as playwright,
    ):
        address = re.search(r"PruneViz is at (http://\S+)", "".join(printed))
        assert address is not None
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MS)
        walk(page, address.group(1), folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

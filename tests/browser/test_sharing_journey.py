"""Two visitors and a token: a studio that others can reach, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pruneviz.jobs import RunStore
from tests.browser.conftest import studio_at
from tests.browser.controls import pick

pytestmark = [pytest.mark.browser, pytest.mark.sweep, pytest.mark.timeout(600)]


@contextmanager
def someone(chromium: Any) -> Iterator[Any]:
    """A person with a browser of their own."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(90_000)
    page = context.new_page()
    yield page
    for sentence in ("hit a bug", "encountered an error"):
        assert not page.get_by_text(sentence).count(), sentence
    context.close()


def is_on(page: Any, name: str) -> None:
    page.get_by_role("heading", name=name, exact=True).wait_for()


def uploaded_bytes(page: Any, root: str) -> int:
    """What Streamlit holds of uploads in memory."""
    said = page.request.get(f"{root}/_stcore/metrics").text()
    found = re.search(r"cache_memory_bytes\{[^}]*UploadedFileManager[^}]*\} (\d+)", said)
    assert "# EOF" in said
    return int(found.group(1)) if found else 0


def test_two_visitors_and_a_token(chromium: Any, tmp_path: Path) -> None:
    home, images = tmp_path / "home", tmp_path / "images"
    images.mkdir()
    flags = ("--host", "0.0.0.0", "--data-root", str(images), "--max-runs", "2")
    with studio_at(home, *flags) as printed, someone(chromium) as ann, someone(chromium) as bob:
        said = "".join(printed)
        own = re.search(r"PruneViz is at (\S+)", said).group(1)
        root, token = re.match(r"(http://localhost:\d+)/\?token=", own).group(1), None
        token = re.search(r"^  \S+token=(\w+)$", said, re.MULTILINE).group(1)
        assert token not in own

        # Ann has the address without the token, and types it; Bob got the address with it.
        ann.goto(f"{root}/runs")
        ann.get_by_text("This studio is shared").wait_for()
        ann.get_by_label("Token").fill("a guess")
        ann.keyboard.press("Enter")
        ann.get_by_role("alert").get_by_text("That token is wrong").wait_for()
        ann.get_by_label("Token").fill(token)
        ann.keyboard.press("Enter")
        is_on(ann, "Runs")
        bob.goto(f"{root}/runs?token={token}")
        is_on(bob, "Runs")
        assert "token" not in bob.url
        bob.reload()
        is_on(bob, "Runs")

        # Ann starts a run with many impatient clicks: it is one.
        epochs = ann.get_by_role("spinbutton", name="Epochs")
        epochs.fill("500")
        epochs.press("Tab")
        start = ann.get_by_role("button", name="Start", exact=True)
        for _ in range(25):
            start.click(no_wait_after=True)
        ann.get_by_text("running", exact=True).first.wait_for()
        start.click()
        ann.get_by_text("The same run is already running").first.wait_for()
        assert len(RunStore(home).list()) == 1
        assert ann.get_by_role("button", name="Cancel").count() == 1
        assert ann.get_by_text("yours").count() == 1

        # Bob sees it, and can do nothing to it.
        bob.get_by_text("running", exact=True).first.wait_for()
        bob.get_by_text(re.compile(r"^visitor \w{4}")).first.wait_for()
        for name in ("Cancel", "Pause", "More"):
            assert not bob.get_by_role("button", name=name).count(), name

        # Bob reads nothing of the machine beside --data-root.
        bob.get_by_role("link", name="Choose", exact=True).first.click()
        is_on(bob, "Choose")
        bob.get_by_role("button", name="Prune the lowest").wait_for()
        pick(bob, "Data", "your own images")
        path = bob.get_by_role("textbox", name="Folder or zip under")
        path.fill("/etc")
        path.press("Enter")
        bob.get_by_role("button", name=re.compile(r"\bLoad$")).click()
        bob.get_by_text("reads only folders under").first.wait_for()
        bob.get_by_role("button", name="Prune the lowest").wait_for()  # what was in hand stays

        # What Bob uploads and nobody can use is let go of, in memory and on disk.
        path = bob.get_by_role("textbox", name="Folder or zip under")
        path.fill("")
        path.press("Enter")
        broken = tmp_path / "broken.zip"
        broken.write_bytes(bytes(3 * 2**20))
        bob.locator("input[type=file]").first.set_input_files(str(broken))
        bob.get_by_text("File uploaded").wait_for()
        with someone(chromium) as owner:
            owner.goto(own)
            is_on(owner, "Choose")
            assert uploaded_bytes(owner, root) < 2**20, "it is on disk, not in memory"
            assert len(list((home / "uploads").iterdir())) == 1
            bob.get_by_role("button", name=re.compile(r"\bLoad$")).click()
            bob.get_by_text(re.compile("broken.zip.*(zip|damaged)")).first.wait_for()
            bob.get_by_text("File uploaded").wait_for(state="detached")
            bob.get_by_role("button", name="Prune the lowest").wait_for()
            assert not list((home / "uploads").iterdir())

            # The owner may do everything: also cancel what Ann started.
            owner.get_by_role("link", name="Runs", exact=True).first.click()
            owner.get_by_role("button", name="Cancel").first.click()
            owner.get_by_text("cancelled", exact=True).first.wait_for()
        ann.get_by_text("cancelled", exact=True).first.wait_for()

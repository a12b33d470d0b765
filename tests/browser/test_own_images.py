"""Images of one's own, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pruneviz.jobs import RunStore
from pruneviz.session.decisions import Subject
from pruneviz.session.history import History
from pruneviz.session.step_store import StepStore
from tests.browser.conftest import studio_at

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

LOADS = 4
"""Half of them were blank."""


def address_of(printed: list[str]) -> str:
    found = re.search(r"PruneViz is at (http://[^\s/]+)", "".join(printed))
    assert found
    return found.group(1)


@pytest.mark.sweep
def test_a_folder_that_cannot_be_read_leaves_no_blank_page(chromium: Any, tmp_path: Path) -> None:
    """The browser threw the whole page away at half of the loads."""
    (tmp_path / "images").mkdir()
    folder = (("root", str(tmp_path / "images")),)
    history = History.begin(Subject("resnet20", None, None, "folder", folder))
    (tmp_path / "home").mkdir()
    records = RunStore(tmp_path / "home")
    StepStore(records.database).save(history)
    records.close()
    with studio_at(tmp_path / "home") as printed:
        for _ in range(LOADS):
            context = chromium.new_context(viewport={"width": 1440, "height": 900})
            opened = context.new_page()
            opened.set_default_timeout(90_000)
            opened.goto(f"{address_of(printed)}/?at={history.current}")
            told = opened.get_by_role("alert").get_by_text("'images' holds no images")
            told.wait_for()
            box = told.bounding_box()
            assert box["y"] < 300, "in sight, not below the list of data"
            opened.wait_for_timeout(500)
            assert opened.get_by_role("heading", name="Choose", exact=True).count(), "blank"
            assert opened.get_by_role("combobox", name="Network").count(), "there is a way on"
            context.close()

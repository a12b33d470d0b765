"""A visitor who lands on another studio of the deployment: the same plan, history and uploads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

from pruneviz.catalog import load_model
from pruneviz.jobs import RunStore
from pruneviz.jobs.uploaded import Uploaded
from pruneviz.session.decisions import Decisions, Subject, set_ratio
from pruneviz.session.history import History
from pruneviz.session.session import PASSING_SECONDS
from pruneviz.session.step_store import StepStore
from pruneviz.session.uploads import Uploads
from tests.cluster.open_page import OpenPage
from tests.cluster.servers import Studio

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SLIDER = "Pruning ratio, whole network"


@pytest.fixture
def places(new_database: str, new_bucket: str) -> dict[str, str]:
    return {"PRUNEVIZ_DATABASE": new_database, "PRUNEVIZ_STORE": new_bucket}


@pytest.fixture
def studios(places: dict[str, str], tmp_path: Path) -> Iterator[tuple[Studio, Studio]]:
    """Two processes, each with a home of its own."""
    one, two = (Studio(tmp_path / name, places) for name in ("one", "two"))
    try:
        one.wait()
        two.wait()
        yield one, two
    finally:
        for each in (one, two):
            each.process.kill()
            each.process.wait()


@pytest.fixture
def records(places: dict[str, str], tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path / "one", places["PRUNEVIZ_DATABASE"], places["PRUNEVIZ_STORE"])
    yield made
    made.close()


def test_the_plan_and_its_history_are_those_of_the_other_studio(
    studios: tuple[Studio, Studio], records: RunStore
) -> None:
    one, two = studios
    with OpenPage(one.port, "prune") as page:
        page.move(SLIDER, 30)
        assert "120 of 400" in page.text
        first = page.query["at"]
        page.press("undo")
        page.press("redo")
        time.sleep(PASSING_SECONDS)  # or the slider would only have passed through the first step
        page.move(SLIDER, 50)
        assert "200 of 400" in page.text
        second = page.query["at"]
        assert second != first
    one.process.kill()  # and whatever it had in memory
    with OpenPage(two.port, "prune", at=second) as page:
        assert page.query["at"] == second
        assert "200 of 400" in page.text
        page.press("undo")
        assert page.query["at"] == first
        assert "120 of 400" in page.text
        page.press("undo")
        assert "at" not in page.query
        assert "0 of 400" in page.text
        page.press("redo")
        page.press("redo")
        assert page.query["at"] == second
    kept = StepStore(records.database).load(second)
    assert kept is not None
    assert [step.label for step in kept.line()] == [
        "nothing pruned",
        "fisher 30 % over all groups",
        "fisher 50 % over all groups",
    ]


def test_a_plan_for_uploaded_weights_opens_where_they_were_not_uploaded(
    studios: tuple[Studio, Studio], records: RunStore, tmp_path: Path
) -> None:
    one, two = studios
    save_file(load_model("resnet20", weights="digits").state_dict(), tmp_path / "w.safetensors")
    assert records.files.artifacts is not None
    uploads = Uploads(one.home, Uploaded(records.database, records.files.artifacts))
    path = uploads.keep("mine.safetensors", (tmp_path / "w.safetensors").read_bytes(), "ann")
    uploads.take_up(path)
    history = History.begin(Subject("resnet20", str(path), 10, "digits"))
    history = history.push(set_ratio(Decisions(criterion="l1"), 0.5))
    StepStore(records.database).save(history)
    for studio in (one, two):
        there = list(studio.home.glob("uploads/*/mine.safetensors"))
        assert bool(there) == (studio is one)
        with OpenPage(studio.port, "prune", at=history.current) as page:
            assert "200 of 400" in page.text
            assert (page.query["at"] == history.current) == (studio is one)
            page.press("undo")
            assert "0 of 400" in page.text
    assert list(two.home.glob("uploads/*/mine.safetensors"))

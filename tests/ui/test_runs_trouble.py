"""What the page Runs says when something is wrong with the records or with a worker."""

from __future__ import annotations

import sqlite3
import time

import pytest

from pruneviz.errors import StorageFullError, StorageGoneError
from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.jobs.recovery import STALE_SECONDS
from pruneviz.jobs.worker import CLOSED
from pruneviz.ui.frame import services
from tests.ui.conftest import Open
from tests.ui.helpers import sound


def warnings(page) -> str:
    return "\n".join(warning.value for warning in page.warning)


def test_a_full_disk_is_said_and_the_page_goes_on(studio: Open, monkeypatch) -> None:
    service = services.jobs()
    service.store.create(RunSpec("fine_tune", name="waits"))
    service._tender._trouble = StorageFullError("The disk is full.")
    service._tender._tended = time.monotonic() + 1000
    page = sound(studio("runs"))
    assert "The disk is full. Until then, runs wait; they resume on their own." in warnings(page)
    assert "Save the state in memory" not in [button.label for button in page.button]
    assert "Cancel" in [button.label for button in page.button]
    service._tender._trouble = None
    assert "runs wait" not in warnings(sound(page.run()))


@pytest.mark.slow
def test_a_deleted_home_is_said_and_saved_anew(studio: Open) -> None:
    service = services.jobs()
    service.store.create(RunSpec("fine_tune", name="kept in memory"))
    service.list()
    service.home.rename(service.home.with_name(f"{service.home.name}-elsewhere"))
    service._tender._tended = 0.0
    page = studio("runs")
    assert "was deleted or replaced while PruneViz was running" in warnings(page)
    assert isinstance(service._tender._trouble, StorageGoneError)
    next(b for b in page.button if b.label == "Save the state in memory").click().run()
    assert (service.home / "pruneviz.db").exists()
    assert "was deleted" not in warnings(sound(page.run()))
    assert [run.name for run in service.list()] == ["kept in memory"]


def test_a_damaged_record_has_its_card_and_the_others_theirs(studio: Open) -> None:
    store = services.jobs().store
    whole = store.create(RunSpec("fine_tune", name="the whole one"))
    bad = store.create(RunSpec("fine_tune", name="the damaged one"))
    for run in (whole, bad):
        store.request_cancel(run.id)
    with sqlite3.connect(store.home / "pruneviz.db") as database:
        database.execute("UPDATE runs SET spec = '{', progress = 'x' WHERE id = ?", (bad.id,))
    page = studio("runs")
    assert not page.exception
    assert [b.label for b in page.button].count("Resume") == 1, "nobody can resume the damaged one"
    assert ["cannot be read whole" in error.value for error in page.error] == [True]
    assert {"the whole one", "the damaged one"} <= {
        t.value for t in page.text_input if t.label == "Name"
    }


def test_work_without_a_sign_and_notices_are_said(studio: Open) -> None:
    store = services.jobs().store
    mine = claim(store, store.create(RunSpec("fine_tune")).id)
    assert mine is not None
    mine.update(worked=time.time() - 10 * STALE_SECONDS, heartbeat=time.time())
    mine.keep("notices", ["The run starts over."])
    page = studio("runs")
    assert not page.exception
    assert "No progress for 10 min" in warnings(page)
    assert "The run starts over." in warnings(page)
    mine.finish("interrupted", message=CLOSED)
    assert CLOSED in [caption.value for caption in page.run().caption]

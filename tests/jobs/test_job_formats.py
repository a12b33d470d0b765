"""Records that an older PruneViz wrote: `formats/N.db` is a store as format N wrote it."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from pruneviz.jobs import RunSpec, RunStore, Which, migrations
from pruneviz.jobs.leases import claim
from pruneviz.jobs.migrations import FORMAT
from pruneviz.jobs.recovery import mark_interrupted

KEPT = sorted((Path(__file__).parent / "formats").glob("*.db"))
old = pytest.mark.parametrize("kept", KEPT, ids=lambda path: f"format {path.stem}")


def tables(path: Path) -> dict[str, object]:
    """What a database's tables are made of, whatever the order of columns."""
    found: dict[str, object] = {}
    with sqlite3.connect(path) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in database.execute(query).fetchall():
            columns = database.execute(f"PRAGMA table_info({table})").fetchall()
            found[table] = {row[1:] for row in columns}
            keys = database.execute(f"PRAGMA foreign_key_list({table})").fetchall()
            found[f"{table}: keys"] = {row[2:] for row in keys}
            indexes = database.execute(f"PRAGMA index_list({table})").fetchall()
            found[f"{table}: indexes"] = {row[1:4] for row in indexes}
        found["format"] = database.execute("PRAGMA user_version").fetchone()
    return found


def placed(kept: Path, home: Path) -> Path:
    home.mkdir(exist_ok=True)
    return Path(shutil.copy(kept, home / "pruneviz.db"))


def test_a_store_of_each_older_format_is_kept():
    assert [int(path.stem) for path in KEPT] == list(range(1, FORMAT))


@pytest.mark.slow
@old
def test_an_older_store_becomes_a_new_one(kept, tmp_path):
    new, upgraded = tmp_path / "new", placed(kept, tmp_path / "old")
    new.mkdir()
    RunStore(new).close()
    RunStore(upgraded.parent).close()
    assert tables(upgraded) == tables(new / "pruneviz.db")
    assert tables(upgraded)["format"] == (FORMAT,)


@old
def test_its_runs_are_read_and_go_on(kept, tmp_path):
    store = RunStore(placed(kept, tmp_path).parent)
    runs = {(run.kind, run.status): run for run in store.list()}
    assert set(runs) == {
        ("fine_tune", "queued"),
        ("fine_tune", "done"),
        ("strategy", "failed"),
        ("sensitivity", "running"),
        ("rank", "interrupted"),
    }
    done = runs["fine_tune", "done"]
    assert (done.owner, done.name, done.seconds, done.threads) == (
        "ann",
        "fine_tune of ann",
        4.5,
        1,
    )
    assert done.spec.options == {"epochs": 2}
    assert [row.loss for row in store.metrics(done.id)] == [1.0, 0.5]
    assert store.results(done.id)["after"] == {"accuracy": 0.5, "count": 24}
    assert runs["fine_tune", "queued"].owner is None
    assert [run.kind for run in store.list(Which(owner="bob"))] == ["sensitivity", "strategy"]
    if int(kept.stem) >= 4:  # the first with a run of a study
        assert runs["rank", "interrupted"].tag == "study-1a2b3c"
        assert store.choices().tags == ("study-1a2b3c",)
    assert {run.tag for run in store.list() if run.parent is None} == {None}
    assert [run.status for run in mark_interrupted(store, stale=0)] == ["interrupted"]
    assert store.request_resume(runs["strategy", "failed"].id)
    mine = claim(store, runs["strategy", "failed"].id)
    assert mine is not None
    mine.beat([{"level": "step", "time": 0.0, "extra": {}}], worked=1.0)
    assert mine.finish("done")
    store.create(RunSpec("count"))
    store.close()


@old
def test_of_many_that_open_it_at_once_each_finds_it_whole(kept, tmp_path):
    home, start, found = placed(kept, tmp_path).parent, threading.Barrier(6), []

    def look() -> None:
        start.wait()
        store = RunStore(home)
        found.append(len(store.list()))
        store.close()

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 6


@old
def test_a_step_that_fails_leaves_the_file_as_it_was(kept, tmp_path, monkeypatch):
    path = placed(kept, tmp_path)
    before = tables(path)

    def fails(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, fails))
    with pytest.raises(KeyboardInterrupt):
        RunStore(tmp_path)
    assert tables(path) == before
    monkeypatch.undo()
    RunStore(tmp_path).close()
    assert tables(path)["format"] == (FORMAT,)


def test_opening_what_is_up_to_date_waits_for_nobody(tmp_path, monkeypatch):
    from pruneviz.jobs import sqlite

    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0)
    store = RunStore(tmp_path)
    run = store.create(RunSpec("count"))
    with store.transaction():  # somebody writes
        other = RunStore(tmp_path)
        assert other.get(run.id) == run
        other.close()
    store.close()

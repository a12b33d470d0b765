"""Steps in the records: kept once, loaded anywhere, moved from the files of an older PruneViz."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruneviz.errors import StorageUnreachableError
from pruneviz.jobs import RunStore, plan_steps
from pruneviz.jobs.plan_steps import Row
from pruneviz.session import decisions as w
from pruneviz.session.decisions import Subject
from pruneviz.session.history import History
from pruneviz.session.step_store import StepStore


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    far = request.param == "PostgreSQL"
    made = RunStore(tmp_path, request.getfixturevalue("new_database") if far else None)
    yield made
    made.close()


def count(records: RunStore) -> int:
    with records.reading() as session:
        return int(session.connection().exec_driver_sql("SELECT count(*) FROM steps").scalar_one())


def taken(*ratios: float) -> History:
    history = History.begin(Subject())
    for ratio in ratios:
        history = history.push(w.set_ratio(history.decisions, ratio))
    return history


def test_stored_steps_lead_back_to_the_beginning(records: RunStore) -> None:
    store, h = StepStore(records.database), History.begin(Subject())
    for ratio in (0.1, 0.2, 0.3):
        h = h.push(w.set_ratio(h.decisions, ratio))
        store.save(h)
    store.save(h.undo().push(w.set_ratio(h.decisions, 0.9)))
    again = RunStore(records.home, records.database.address)
    loaded = StepStore(again.database).load(h.current)
    assert loaded is not None
    assert loaded.line() == h.line()
    assert loaded.undo().redo() == loaded
    assert count(records) == 5
    again.close()


def test_a_long_history_comes_back_in_order(records: RunStore) -> None:
    h = taken(*(n / 1000 for n in range(1, 301)))
    StepStore(records.database).save(h)
    loaded = StepStore(records.database).load(h.current)
    assert loaded is not None
    assert loaded.line() == h.line()


@pytest.mark.parametrize("name", ["../../etc/passwd", "0" * 12, "zz", "", "' OR 1=1 --", "\0"])
def test_unknown_or_wicked_names_load_nothing(records: RunStore, name: str) -> None:
    StepStore(records.database).save(taken(0.5))
    assert StepStore(records.database).load(name) is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"label": 3}', "null"])
def test_a_damaged_step_loads_nothing(records: RunStore, damage: str) -> None:
    store, h = StepStore(records.database), taken(0.5)
    store.save(h)
    with records.transaction() as session:
        session.connection().exec_driver_sql(
            f"UPDATE steps SET content = '{damage}' WHERE id = '{h.current}'"
        )
    assert store.load(h.current) is None


def test_steps_that_go_round_in_circles_or_begin_nowhere_load_nothing(
    records: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_steps, "LONGEST", 50)
    h = taken(0.5)
    content = h.step.to_dict()
    plan_steps.keep(records.database, [Row("a", "b", content), Row("b", "a", content)])
    plan_steps.keep(records.database, [Row("c", "gone", content)])
    for name in "abc":
        assert StepStore(records.database).load(name) is None


def test_visitors_that_take_the_same_steps_at_once_all_keep_them(records: RunStore) -> None:
    """A class that follows its teacher does just that."""
    histories, store = [taken(0.1, n / 100) for n in range(20, 40)], StepStore(records.database)
    start, failed = threading.Barrier(8), []

    def visit() -> None:
        start.wait()
        for history in histories:
            try:
                store.save(history)
            except OSError as error:
                failed.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert failed == []
    assert count(records) == 2 + len(histories)
    assert all(store.load(history.current) == history for history in histories)


def test_files_of_an_older_pruneviz_are_moved_into_the_records(tmp_path: Path) -> None:
    records, folder, h = RunStore(tmp_path), tmp_path / "steps", taken(0.1, 0.2)
    folder.mkdir()
    for step in h.line():
        (folder / f"{step.digest}.json").write_text(json.dumps(step.to_dict()))
    (folder / "0123456789ab.json").write_text("{")
    for _ in range(2):
        assert StepStore(records.database, folder).load(h.current) == h
        assert [path.name for path in folder.iterdir()] == ["0123456789ab.json"]
    (folder / "0123456789ab.json").unlink()
    (folder / f"{h.current}.json").write_text(json.dumps(h.step.to_dict()))
    StepStore(records.database, folder)
    assert not folder.exists()
    records.close()


def test_while_the_records_are_away_no_slider_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, asked = RunStore(tmp_path), []

    def away(*_: object) -> None:
        asked.append(1)
        raise StorageUnreachableError("away")

    store, h = StepStore(records.database), taken(0.5)
    with monkeypatch.context() as patch:
        patch.setattr(plan_steps, "keep", away)
        for _ in range(3):
            with pytest.raises(StorageUnreachableError):
                store.save(h)
    assert len(asked) == 1
    with pytest.raises(StorageUnreachableError):
        store.save(h)
    monkeypatch.setattr(store, "_rest_until", 0.0)
    store.save(h)
    assert store.load(h.current) == h
    records.close()

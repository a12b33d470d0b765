"""Records that are damaged, locked or deleted: each is said, and nothing that is known is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import event

from pruneviz import errors
from pruneviz.jobs import RunSpec, RunStore, files, sqlite, tending
from pruneviz.jobs.leases import claim
from pruneviz.jobs.recovery import adopt, mark_interrupted

BAD = {
    "spec": ["{", "[1]", '{"kind": 3}', '{"kind": "count", "options": []}', b"\xff\xfe", 17,
             '{"kind": "count", "colour": 1}'],
    "progress": ["half", float("inf"), b"\x00"],
    "name": [b"\xff\xfe\x00", 3],
    "status": ["resting", b"\xff"],
    "created": ["yesterday"],
    "error": [5],
    "seconds": ["long"],
    "owner": [b"\x00"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, values in BAD.items() for value in values]
)
def test_one_unreadable_row_hides_no_other(store, spec, column, value):
    whole, bad = store.create(spec(name="whole")), store.create(spec())
    with sqlite3.connect(store.home / "pruneviz.db") as database:
        database.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, bad.id))
    runs = {run.id: run for run in store.list()}
    assert set(runs) == {whole.id, bad.id}
    assert runs[whole.id] == whole
    if not (column == "name" and value == 3):  # a number becomes text in a text column
        assert "cannot be read whole" in runs[bad.id].error or column == "error"
    assert runs[bad.id].progress == 0.0
    assert runs[bad.id].spec.options == {} or runs[bad.id].spec == bad.spec
    mark_interrupted(store)
    adopt(store, "me|1||z")
    store.delete(bad.id)
    assert [run.id for run in store.list()] == [whole.id]


def test_rows_of_history_and_results_that_cannot_be_read_hide_no_others(store, spec):
    mine = claim(store, store.create(spec()).id)
    mine.beat([{"level": "epoch", "time": 0.0, "loss": 1.0, "extra": {"lr": 1}}] * 3)
    mine.keep("good", {"a": 1})
    mine.keep("bad", {"a": 1})
    with sqlite3.connect(store.home / "pruneviz.db") as database:
        database.execute("UPDATE metrics SET extra = '{', loss = 'much' WHERE id = 2")
        database.execute("UPDATE results SET payload = '{\"a' WHERE name = 'bad'")
    rows = store.metrics(mine.run.id)
    assert [(row.loss, dict(row.extra)) for row in rows] == [
        (1, {"lr": 1}),
        (None, {}),
        (1, {"lr": 1}),
    ]
    assert store.results(mine.run.id) == {"good": {"a": 1}}


def test_a_run_with_an_unreadable_specification_fails_with_the_sentence(threaded, spec, until):
    first = threaded.submit(spec(steps=1000, pause=0.01))
    bad = threaded.submit(spec())
    with sqlite3.connect(threaded.store.home / "pruneviz.db") as database:
        database.execute("UPDATE runs SET spec = '{' WHERE id = ?", (bad,))
    threaded.cancel(first)
    run = until(threaded, bad, lambda run: not run.active)
    assert run.status == "failed"
    assert "cannot be read whole (specification" in run.error
    assert threaded.wait(threaded.submit(spec()), 120).status == "done"


def writes(store: RunStore) -> list[str]:
    """Collect the statements that take the write lock."""
    found: list[str] = []

    @event.listens_for(store.database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, *_):
        if statement.startswith(("BEGIN IMMEDIATE", "UPDATE", "INSERT", "DELETE")):
            found.append(statement)

    return found


def test_listing_takes_no_lock_for_what_waits(tmp_path, threaded, spec, until):
    held = threaded.submit(spec(steps=10_000, pause=0.02))
    for _ in range(5):
        threaded.submit(spec())
    until(threaded, held, lambda run: run.status == "running")
    found = writes(threaded.store)
    for _ in range(3):
        threaded._tender._tended = 0.0
        assert len(threaded.list()) == 6
    assert found == []


@contextlib.contextmanager
def locked(store: RunStore) -> Iterator[None]:
    """Keep others from writing, as a program does that copies or repairs the records."""
    other = sqlite3.connect(store.home / "pruneviz.db", timeout=60, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(sqlite, "READ_SECONDS", 0.05)
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.05)


@pytest.mark.usefixtures("_impatient")
def test_pages_answer_while_nobody_can_write(threaded, spec):
    run = threaded.wait(threaded.submit(spec()), 120)
    with locked(threaded.store):
        assert threaded.list() == (run,)
        assert threaded.get(run.id) == run
        with pytest.raises(errors.StorageBusyError, match="locked by another program"):
            threaded.submit(spec())
        with pytest.raises(errors.StorageBusyError, match="locked by another program"):
            threaded.rename(run.id, "x")
    assert threaded.rename(run.id, "x").name == "x"


def test_pages_answer_from_what_they_know_when_nobody_can_read(threaded, spec, monkeypatch):
    run = threaded.wait(threaded.submit(spec()), 120)
    asked = (
        threaded.list,
        lambda: threaded.get(run.id),
        lambda: threaded.results(run.id),
        lambda: threaded.metrics(run.id),
    )
    known = [ask() for ask in asked]
    tries = []

    @contextlib.contextmanager
    def reading():
        tries.append(1)
        raise errors.StorageBusyError("The records are locked.")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(threaded.store, "reading", reading)
        threaded._tender._tended = time.monotonic()
        assert [ask() for ask in asked] == known
        assert len(tries) == 1, "one that does not answer is not asked again at once"
        assert threaded.trouble() == "The records are locked."
        with pytest.raises(errors.StorageBusyError):
            threaded.metrics(run.id, since=1)  # never asked before
    threaded._known._rest_until = 0.0
    assert [ask() for ask in asked] == known
    assert threaded.trouble() is None


@pytest.mark.slow
@pytest.mark.usefixtures("_impatient")
def test_a_training_run_outlives_a_lock(threaded, spec, until):
    reference = threaded.wait(threaded.submit(spec("train", epochs=6)), 120)
    run_id = threaded.submit(spec("train", epochs=6, hold=2))
    until(threaded, run_id, lambda run: run.checkpoints >= 2)
    threaded.cancel(run_id)
    until(threaded, run_id, lambda run: not run.active)
    threaded.resume(run_id)
    until(threaded, run_id, lambda run: run.status != "queued")
    refused = threading.Event()
    with locked(threaded.store):
        for _ in range(20):  # writes are refused for two seconds at least
            with contextlib.suppress(errors.StorageBusyError), threaded.store.transaction():
                pass
            refused.wait(0.1)
    run = until(threaded, run_id, lambda run: not run.active)
    assert (run.status, run.error) == ("done", None)
    assert threaded.results(run_id) == threaded.results(reference.id)
    assert [m.epoch for m in threaded.metrics(run_id, level="epoch")] == [1, 2, 3, 4, 5, 6]


def test_a_home_that_was_deleted_is_noticed_and_what_is_in_memory_is_saved(
    threaded, spec, until, monkeypatch
):
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.05)
    reference = threaded.wait(threaded.submit(spec("train", epochs=6)), 120)
    run_id = threaded.submit(spec("train", epochs=400, pause=0.002))
    until(threaded, run_id, lambda run: run.checkpoints >= 2)
    moved = threaded.home.with_name(f"{threaded.home.name}-elsewhere")
    refused, real = threading.Event(), files.atomic_write
    threaded.home.rename(moved)
    monkeypatch.setattr(files, "atomic_write", lambda *a: (refused.set(), real(*a)))
    end = threading.Event()
    while threaded.trouble() is None:
        end.wait(0.02)
    assert "was deleted or replaced while PruneViz was running" in threaded.trouble()
    assert threaded.rescuable
    assert len(threaded.list()) == 2, "what is in memory is shown"
    with pytest.raises(errors.StorageGoneError):
        threaded.submit(spec())
    assert not threaded.home.exists(), "nothing is written where nothing is kept"
    threaded.rescue()
    assert threaded.trouble() is None
    assert threaded.results(reference.id)
    before = threaded.get(run_id).checkpoints
    run = until(threaded, run_id, lambda run: run.checkpoints > before + 1)
    assert (run.status, run.attempts) == ("running", 1)
    assert list(threaded.files(run_id).glob("checkpoint-*.pt"))
    threaded.cancel(run_id)
    assert until(threaded, run_id, lambda run: not run.active).status == "cancelled"
    with contextlib.closing(RunStore(threaded.home)) as again:
        assert len(again.list()) == 2


def test_a_home_that_comes_back_is_taken_up_again(threaded, spec, until):
    run_id = threaded.submit(spec("train", epochs=400, pause=0.002))
    until(threaded, run_id, lambda run: run.checkpoints >= 2)
    moved = threaded.home.with_name(f"{threaded.home.name}-elsewhere")
    threaded.home.rename(moved)
    with pytest.raises(errors.StorageGoneError):
        threaded.store.check_there()
    moved.rename(threaded.home)
    before = threaded.get(run_id).checkpoints
    assert until(threaded, run_id, lambda run: run.checkpoints > before).attempts == 1


def test_other_records_in_its_place_are_left_alone(tmp_path, spec):
    (tmp_path / "home").mkdir()
    store = RunStore(tmp_path / "home")
    run = store.create(spec())
    store.home.rename(tmp_path / "elsewhere")
    store.home.mkdir()
    other = RunStore(store.home)
    with pytest.raises(errors.StorageGoneError):
        store.rescue()
    assert other.list() == ()
    assert store.get(run.id) == run
    for one in (store, other):
        one.close()


def test_both_checkpoints_damaged_is_said_before_the_run_begins_again(threaded, spec, until):
    reference = threaded.submit(spec("train", epochs=5))
    run_id = threaded.submit(spec("train", epochs=5, hold=3))
    until(threaded, run_id, lambda run: run.checkpoints >= 3)
    threaded.cancel(run_id)
    until(threaded, run_id, lambda run: not run.active)
    for path in threaded.files(run_id).glob("checkpoint-*.pt"):
        path.write_bytes(path.read_bytes()[:-200])
    # it waits once more in its 4th epoch, as the first attempt did: it has begun again
    threaded.resume(run_id)
    until(threaded, run_id, lambda run: run.status == "running" and run.checkpoints >= 6)
    said = ["The run starts over: its 2 checkpoints cannot be read (damaged on the disk)."]
    assert threaded.results(run_id)["notices"] == said
    threaded.cancel(run_id)
    until(threaded, run_id, lambda run: not run.active)
    threaded.resume(run_id)
    assert threaded.wait(run_id, 120).status == "done"
    results = threaded.results(run_id)
    assert results.pop("notices") == said
    assert results == threaded.results(reference)
    assert [m.epoch for m in threaded.metrics(run_id, level="epoch")] == [1, 2, 3, 4, 5]


def test_an_order_is_written_on_a_full_disk_with_what_was_set_aside(threaded, spec, monkeypatch):
    store, run = threaded.store, threaded.store.create(RunSpec("count"))
    kept = threaded.home / ".reserve"
    assert kept.stat().st_size == 2**20
    real = store.transaction

    @contextlib.contextmanager
    def transaction():
        if kept.exists():
            raise errors.StorageFullError("full")
        with real() as session:
            yield session

    monkeypatch.setattr(store, "transaction", transaction)
    assert threaded.cancel(run.id).status == "cancelled"
    assert not kept.exists()


def test_a_run_that_has_just_been_taken_up_waits_for_the_records(threaded, spec, monkeypatch):
    """The database was killed between the claim and the first look at earlier results."""
    asked: list[int] = []
    real = RunStore.results

    def results(self: RunStore, run_id: str) -> object:
        asked.append(1)
        if len(asked) == 1:
            raise errors.StorageUnreachableError("The database cannot be reached.")
        return real(self, run_id)

    monkeypatch.setattr(RunStore, "results", results)
    run = threaded.wait(threaded.submit(spec()), 120)
    assert (run.status, run.error) == ("done", None)
    assert len(asked) > 1

"""The laws of the records: every change of status is one, whoever else writes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from pruneviz import errors
from pruneviz.jobs import RunSpec, RunStore, Which, metrics_frame
from pruneviz.jobs.leases import LOST, claim
from pruneviz.jobs.migrations import FORMAT
from pruneviz.jobs.recovery import adopt, disown, mark_interrupted
from pruneviz.jobs.views import ACTIVE, RESUMABLE


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request) -> str | None:
    """Where records are kept besides a file in the home."""
    return request.getfixturevalue("new_database") if request.param == "postgresql" else None


@pytest.fixture
def store(tmp_path, address):
    made = RunStore(tmp_path, address)
    yield made
    made.close()


def again(store: RunStore) -> RunStore:
    return RunStore(store.home, store.database.address)


sqlite_only = pytest.mark.parametrize("address", [None], ids=["sqlite"])
ROW = {"level": "batch", "time": 0.0, "extra": {}}


def test_a_run_keeps_what_it_was_told(store):
    spec = RunSpec(
        "count",
        model={"name": "resnet20", "weights": "digits"},
        data={"name": "digits", "options": {"size": 32}},
        plan='{"dropped": [1]}',
        options={"epochs": 3, "sizes": (1, 2)},
        name="  my run ",
        parent="study",
        owner="ann",
    )
    run = store.create(spec)
    kept = again(store).get(run.id)
    assert kept == run
    assert kept.name == "my run"
    assert kept.status == "queued"
    assert kept.spec.options == {"epochs": 3, "sizes": [1, 2]}
    assert kept.spec.plan == spec.plan
    assert RunSpec.from_dict(kept.spec.to_dict()) == kept.spec


def test_names_are_counted_by_kind(store, spec):
    names = [store.create(spec(kind)).name for kind in ("fine_tune", "count", "fine_tune")]
    assert names == ["fine tune 1", "count 1", "fine tune 2"]


def test_two_runs_never_share_a_name(store):
    made = [store.create(RunSpec("count", name="mine")) for _ in range(3)]
    assert [run.name for run in made] == ["mine", "mine (2)", "mine (3)"]
    assert store.rename(made[2].id, "mine").name == "mine (3)", "its own number is free to it"
    other = store.create(RunSpec("fine_tune", name="other"))
    assert store.rename(other.id, "mine").name == "mine (4)"


def test_lists_are_filtered_and_the_queue_is_in_order(store):
    made = [store.create(RunSpec("count", owner=o, parent=p)) for o, p in
            (("ann", None), ("bob", "s"), ("ann", "s"))]  # fmt: skip
    assert [r.id for r in store.list(Which(owner="ann"))] == [made[2].id, made[0].id]
    assert [r.id for r in store.list(Which(parent="s"))] == [made[2].id, made[1].id]
    assert [r.id for r in store.queue()] == [r.id for r in made]
    claim(store, made[0].id)
    assert [r.id for r in store.queue()] == [made[1].id, made[2].id]
    assert [r.id for r in store.list(Which(status="running"))] == [made[0].id]


def test_pages_of_a_filtered_list_hold_what_the_whole_list_does(store):
    for number in range(12):
        options = {"strategy": ("taylor", "uniform")[number % 2]} if number % 3 else {}
        store.create(
            RunSpec(
                "strategy" if options else "fine_tune",
                model={"name": ("vgg16", "resnet20")[number // 6]},
                data={"name": "digits"},
                options=options,
                owner="ann" if number < 4 else None,
            )
        )
    claim(store, store.list()[0].id).finish("done")
    claim(store, store.list()[1].id)
    everything = store.list()
    for which, holds in (
        (Which(), lambda run: True),
        (Which(network="vgg16"), lambda run: run.spec.model["name"] == "vgg16"),
        (Which(data="cifar10"), lambda run: False),
        (Which(strategy="taylor"), lambda run: run.spec.options.get("strategy") == "taylor"),
        (Which(owner="ann", kinds=("fine_tune",)), lambda r: r.owner and r.kind == "fine_tune"),
        (Which(other_kinds=("fine_tune",)), lambda run: run.kind == "strategy"),
        (Which(status="done"), lambda run: run.status == "done"),
        (Which(active=True), lambda run: run.active),
        (Which(held=True), lambda run: run.held),
    ):
        wanted = [run for run in everything if holds(run)]
        pages = [store.list(which, limit=5, offset=at) for at in range(0, 15, 5)]
        assert [run for page in pages for run in page] == wanted, which
        assert store.count(which) == len(wanted), which
    found = store.choices()
    assert (found.networks, found.data) == (("resnet20", "vgg16"), ("digits",))
    assert found.strategies == ("taylor", "uniform")


def test_a_specification_that_json_cannot_hold_is_refused(store):
    with pytest.raises(
        errors.InvalidValueError, match="serialisable as JSON; a value of type 'object'"
    ):
        store.create(RunSpec("count", options={"x": object()}))
    with pytest.raises(errors.InvalidValueError, match="got colour"):
        RunSpec.from_dict({"kind": "count", "colour": "red"})
    with pytest.raises(errors.InvalidValueError, match="'kind' is missing"):
        RunSpec.from_dict({"name": "x"})
    assert store.list() == ()


def test_an_unknown_run_is_named(store, spec):
    run = store.create(spec())
    for use in (store.get, store.request_cancel, store.delete):
        with pytest.raises(errors.UnknownNameError, match=f"'nothing'.*{run.id}"):
            use("nothing")
    with pytest.raises(errors.InvalidValueError, match="must not be empty"):
        store.rename(run.id, "  ")
    assert store.rename(run.id, "x").name == "x"


def test_of_many_claims_one_succeeds(store, spec):
    run = store.create(spec())
    start, claims = threading.Barrier(8), []

    def take() -> None:
        own = again(store)
        start.wait()
        claims.append(claim(own, run.id, threads=1))
        own.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([c for c in claims if c is not None]) == 1
    now = store.get(run.id)
    assert (now.status, now.attempts, now.threads) == ("running", 1, 1)


def test_threads_are_those_of_the_first_attempt(store, spec):
    run = store.create(spec())
    claim(store, run.id, threads=3).finish("interrupted")
    assert store.request_resume(run.id)
    assert claim(store, run.id, threads=7).run.threads == 3


@pytest.mark.parametrize(
    ("status", "cancelled"),
    [
        ("queued", "cancelled"),
        ("running", "cancelling"),
        ("interrupted", "cancelled"),
        ("cancelled", "cancelled"),
        ("failed", "failed"),
        ("done", "done"),
    ],
)
def test_what_a_request_makes_of_each_status(store, spec, status, cancelled):
    def made():
        run = store.create(spec())
        if status != "queued":
            mine = claim(store, run.id)
            if status != "running":
                mine.finish(status)
        return run.id

    run = store.request_cancel(made())
    assert run.status == cancelled
    assert run.request == ("cancel" if status == "running" else None)
    again = made()
    if status == "done":
        with pytest.raises(errors.InvalidValueError, match="is done"):
            store.request_resume(again)
    else:
        assert store.request_resume(again) == (status in RESUMABLE)
        assert store.get(again).status == ("running" if status == "running" else "queued")


def test_of_two_resumes_one_submits(store, spec):
    run = store.create(spec())
    claim(store, run.id).finish("interrupted", error="x")
    assert [store.request_resume(run.id), store.request_resume(run.id)] == [True, False]
    now = store.get(run.id)
    assert (now.status, now.error, now.ended) == ("queued", None, None)


def test_history_grows_and_is_read_from_where_one_was(store, spec):
    mine = claim(store, store.create(spec()).id)
    rows = [{**ROW, "step": s, "loss": 1 / s, "extra": {"lr": 0.1}} for s in (1, 2, 3)]
    ours, last = mine.beat(rows, progress=0.5, message="half")
    assert ours
    read = store.metrics(mine.run.id)
    assert [m.step for m in read] == [1, 2, 3]
    assert read[-1].id == last
    assert store.metrics(mine.run.id, since=read[1].id) == read[2:]
    assert store.metrics(mine.run.id, level="epoch") == ()
    frame = metrics_frame(read)
    assert list(frame["lr"]) == [0.1] * 3
    assert list(frame["loss"]) == [1, 0.5, 1 / 3]
    assert metrics_frame([]).empty
    assert (store.get(mine.run.id).progress, store.get(mine.run.id).message) == (0.5, "half")
    mine.forget_after(read[0].id)
    mine.beat([{**ROW, "step": 9}])
    assert [m.step for m in store.metrics(mine.run.id)] == [1, 9]
    assert store.metrics(mine.run.id)[-1].id > last, "ids are not given out again"


def test_results_replace_those_of_the_same_name(store, spec):
    mine = claim(store, store.create(spec()).id)
    mine.keep("before", {"accuracy": 0.5})
    mine.keep("after", [1, 2])
    mine.keep("before", {"accuracy": 0.25})
    assert store.results(mine.run.id) == {"before": {"accuracy": 0.25}, "after": [1, 2]}


def test_deleting_takes_everything_and_the_worker_notices(store, spec):
    mine = claim(store, store.create(spec()).id)
    mine.beat([ROW])
    mine.keep("x", 1)
    folder = store.directory(mine.run.id)
    folder.mkdir(parents=True)
    (folder / "weights").write_text("x")
    store.delete(mine.run.id)
    assert not folder.exists()
    assert mine.order() == LOST
    assert mine.beat([ROW]) == (False, 0)
    mine.keep("y", 2)
    assert mine.finish("done") is False
    with store.database.engine.connect() as database:
        for table in ("runs", "metrics", "results"):
            assert database.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


def test_dead_workers_are_marked_and_living_ones_are_not(store, spec):
    code = (
        "import sys; from pruneviz.jobs import RunStore; from pruneviz.jobs.leases import claim\n"
        "store = RunStore(sys.argv[1], *sys.argv[2:])\n"
        "for run in store.queue(): claim(store, run.id)"
    )
    ids = [store.create(spec()).id for _ in range(3)]
    where = [str(store.home), *filter(None, [store.database.address])]
    subprocess.run([sys.executable, "-c", code, *where], check=True)
    store.request_cancel(ids[1])
    alive = claim(store, store.create(spec()).id)
    alive.update(heartbeat=0.0)  # a laptop that slept
    marked = mark_interrupted(store, stale=0.0)
    assert {run.id for run in marked} == set(ids)
    assert [store.get(i).status for i in ids] == ["interrupted", "cancelled", "interrupted"]
    assert "ended unexpectedly" in store.get(ids[0]).error
    assert store.get(alive.run.id).status == "running"
    assert mark_interrupted(store) == ()


def test_on_another_host_the_heartbeat_tells(store, spec):
    mine = claim(store, store.create(spec()).id)
    mine.update(host="elsewhere", heartbeat=time.time() - 30)
    assert mark_interrupted(store, stale=60) == ()
    assert len(mark_interrupted(store, stale=20)) == 1
    assert mine.order() == LOST


def test_a_process_number_given_out_again_is_not_the_worker(store, spec):
    mine = claim(store, store.create(spec()).id)
    mine.update(process="0-1")
    assert len(mark_interrupted(store)) == 1


def test_the_queue_of_an_app_that_is_gone_is_adopted(store, spec):
    import os

    from pruneviz.jobs.alive import host, identity

    living = f"{host()}|{os.getpid()}|{identity(os.getpid())}|x"
    dead = f"{host()}|{os.getpid()}|0-1|y"
    for submitter in (living, dead, None):
        store.create(spec(), submitter=submitter)
    kept, *orphans = store.queue()
    assert [r.id for r in adopt(store, "me|1||z")] == [r.id for r in orphans]
    disown(store, living)
    assert [r.id for r in adopt(store, living)] == [r.id for r in store.queue()]
    assert kept.id in [r.id for r in store.queue()]


WRITER = """
import sys
from pruneviz.jobs import RunSpec, RunStore
from pruneviz.jobs.leases import claim
store = RunStore(sys.argv[1], *sys.argv[3:])
for _ in range(3):
    mine = claim(store, store.create(RunSpec("count", owner=sys.argv[2])).id)
    for step in range(20):
        assert mine.beat([{"level": "batch", "time": 0.0, "step": step, "extra": {}}] * 3)[0]
    assert mine.finish("done")
"""


@pytest.mark.slow
def test_processes_write_at_once_while_another_reads(tmp_path, address):
    home = tmp_path / "home"  # the tables, too, are made by whoever comes first
    home.mkdir()
    where = [address] if address else []
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home), str(n), *where])
        for n in range(3)
    ]
    store = RunStore(home, address)
    while any(writer.poll() is None for writer in writers):
        for run in store.list():
            assert run.status in {*ACTIVE, "done"}
        time.sleep(0.05)
    assert [writer.returncode for writer in writers] == [0] * 3
    runs = store.list(Which(status="done"))
    assert len(runs) == 9
    assert all(len(store.metrics(run.id)) == 60 for run in runs)


def test_records_of_a_newer_pruneviz_are_left_alone(tmp_path):
    RunStore(tmp_path).close()
    with sqlite3.connect(tmp_path / "pruneviz.db") as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(
        errors.StorageError, match=rf"newer PruneViz \(format {FORMAT + 1};.*Update"
    ):
        RunStore(tmp_path)


def test_what_is_no_database_is_said(tmp_path):
    (tmp_path / "pruneviz.db").write_text("no database at all, " * 100)
    with pytest.raises(errors.StorageError, match=r"are damaged.*Move that file away"):
        RunStore(tmp_path)


@sqlite_only
def test_a_full_disk_is_said(store, spec):
    with store.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(connection, _record):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    from sqlalchemy import event

    store.database.engine.dispose()
    event.listen(store.database.engine, "connect", limit)
    with pytest.raises(errors.StorageError, match=r"disk that holds .* is full .*Free some space"):
        store.create(spec(blob="x" * 100_000))
    assert store.list() == ()

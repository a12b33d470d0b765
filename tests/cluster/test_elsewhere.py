"""Runs on other machines: what is sent there, who may do it, and what becomes of dead workers."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from pruneviz import errors
from pruneviz.commands.main import main
from pruneviz.jobs import JobService, RunSpec, RunStore
from pruneviz.jobs.elsewhere import Order, run_elsewhere, versions
from pruneviz.jobs.fleet import DEATHS, Fleet, Standstill
from pruneviz.jobs.leases import LOST, claim
from tests.cluster.servers import PASSWORD, DaskCluster, free_port

PLUGINS = ("tests.jobs.job_fakes",)
TRAIN = {"epochs": 4, "steps": 5}


@pytest.fixture
def places(tmp_path, new_database, monkeypatch) -> dict[str, str]:
    """Database and store, in the environment as on every worker."""
    found = {"PRUNEVIZ_DATABASE": new_database, "PRUNEVIZ_STORE": (tmp_path / "s3").as_uri()}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PRUNEVIZ_HOME", str(tmp_path / "worker"))
    return found


@pytest.fixture
def records(places, tmp_path):
    (tmp_path / "studio").mkdir()
    made = RunStore(tmp_path / "studio", places["PRUNEVIZ_DATABASE"], places["PRUNEVIZ_STORE"])
    yield made
    made.close()


@pytest.fixture
def until():
    """Wait until a run satisfies a condition."""

    def wait(service, run_id, condition, timeout=120.0):
        end = time.monotonic() + timeout
        while not condition(run := service.get(run_id)):
            assert time.monotonic() < end, f"still {run}"
            time.sleep(0.05)
        return run

    return wait


def order(store: RunStore, run_id: str, **other) -> Order:
    made = Order(run_id, "ticket", store.database.stamp, versions(), PLUGINS, 1)
    return replace(made, **other)


def test_an_order_tells_no_secret(records):
    sent = pickle.dumps(order(records, "x"))
    assert PASSWORD.encode() not in sent
    assert b"postgresql" not in sent


def test_a_worker_does_what_is_ordered_and_leaves_its_files_in_the_store(records, tmp_path):
    run = records.create(RunSpec("writes", options={"sizes": [3]}))
    assert run_elsewhere(order(records, run.id)) == "done"
    assert run_elsewhere(order(records, run.id)) == "done", "a second order changes nothing"
    assert (tmp_path / "worker" / "runs" / run.id / "0.bin").exists()
    assert (records.files.read(run.id) / "0.bin").read_bytes() == bytes(3)
    assert records.get(run.id).attempts == 1


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"versions": replace(versions(), torch="1.0.0")}, r"has PruneViz .* and the studio has"),
        ({"versions": replace(versions(), pruneviz="9.9")}, "install the same versions there"),
        ({"records": 1}, "has another database than the studio"),
    ],
)
def test_a_worker_that_does_not_fit_is_refused(records, other, sentence):
    run = records.create(RunSpec("count"))
    with pytest.raises(errors.WrongWorkerError, match=sentence) as refused:
        run_elsewhere(order(records, run.id, **other))
    assert PASSWORD not in str(refused.value)
    assert records.get(run.id).status == "queued"


def test_a_worker_without_store_is_refused(records, monkeypatch):
    monkeypatch.delenv("PRUNEVIZ_STORE")
    with pytest.raises(errors.WrongWorkerError, match=r"without \$PRUNEVIZ_STORE; start it with"):
        run_elsewhere(order(records, records.create(RunSpec("count")).id))


def test_the_same_ticket_takes_a_run_over_and_the_first_worker_stops(records):
    run = records.create(RunSpec("count"))
    first = claim(records, run.id, ticket="a")
    assert claim(records, run.id, ticket="b") is None
    assert claim(records, run.id) is None
    second = claim(records, run.id, ticket="a")
    assert first is not None
    assert second is not None
    assert first.order() == LOST
    assert second.order() is None
    records.request_cancel(run.id)
    assert claim(records, run.id, ticket="a") is None
    assert records.get(run.id).status == "cancelled"


def test_a_run_goes_back_when_its_heartbeat_stands_still(records):
    fleet, run = Fleet(records, "me", stale=0.2), records.create(RunSpec("count"))
    mine = claim(records, run.id)
    mine.update(host="elsewhere", heartbeat=0.0)  # whatever the clocks say
    assert fleet.put_back() == ()
    time.sleep(0.15)
    mine.update(heartbeat=1.0)
    time.sleep(0.15)
    assert fleet.put_back() == (), "it beats"
    time.sleep(0.25)
    assert fleet.put_back() == (run.id,)
    now = records.get(run.id)
    assert (now.status, now.pid, now.host) == ("queued", None, "elsewhere")
    assert mine.order() == LOST
    cancelled = claim(records, run.id)
    cancelled.update(host="elsewhere")
    records.request_cancel(run.id)
    assert fleet.put_back() == ()
    time.sleep(0.25)
    assert fleet.put_back() == ()
    assert records.get(run.id).status == "cancelled"


def test_a_run_whose_workers_keep_dying_has_failed(records):
    fleet, run = Fleet(records, "me", stale=60), records.create(RunSpec("count"))
    for death in range(1, DEATHS + 3):
        mine = claim(records, run.id)
        mine.update(pid=2**22 - 1, process="0-0", checkpoints=min(death, 3))
        fleet.put_back()
        if records.get(run.id).status == "failed":
            break
    assert death == 2 + DEATHS, "counted from the last checkpoint"
    assert "3 workers died one after the other" in records.get(run.id).error


@pytest.mark.parametrize("reason", ["scheduler", "records"])
def test_deaths_while_something_else_was_wrong_do_not_count(records, reason):
    fleet, run = Fleet(records, "me", stale=60), records.create(RunSpec("count"))
    for death in range(3 * DEATHS):
        mine = claim(records, run.id)
        mine.update(pid=2**22 - 1, process="0-0")
        assert fleet.put_back() == (run.id,)
        if death % 2:
            fleet.pardon() if reason == "scheduler" else fleet.forget()
    assert records.get(run.id).status == "queued"


def test_the_queue_of_an_app_on_another_machine_is_left_to_it_while_it_lives(records):
    here, there = Fleet(records, "here|1||x", 0.3), Fleet(records, "there|1||y", 0.3)
    there.greet()
    here.greet()
    assert here.lives("there|1||y")
    assert not here.lives("never|1||z")
    time.sleep(0.2)
    there.greet()
    here.greet()
    time.sleep(0.2)
    here.greet()
    assert here.lives("there|1||y")
    time.sleep(0.35)
    here.greet()
    assert not here.lives("there|1||y")


def test_what_stood_still_while_nothing_could_be_written_is_no_sign():
    watch = Standstill()
    watch.seconds({"a": 1})
    time.sleep(0.05)
    assert watch.seconds({"a": 1})["a"] > 0.04
    watch.forget()
    assert watch.seconds({"a": 1})["a"] == 0


class Slurm(Executor):
    """A stub with the shape of submitit's AutoExecutor: pickled calls, done by other processes."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    def submit(self, fn, /, *args, **kwargs) -> Future:
        return self._threads.submit(self._job, pickle.dumps((fn, args, kwargs)))

    def _job(self, call: bytes):
        code = (
            "import pickle, sys; f, a, k = pickle.load(sys.stdin.buffer); "
            "sys.stdout.buffer.write(pickle.dumps(f(*a, **k)))"
        )
        command = [sys.executable, "-c", code]
        return pickle.loads(
            subprocess.run(command, input=call, stdout=subprocess.PIPE, check=True).stdout
        )


@pytest.mark.sweep
def test_any_executor_will_do(places, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        service = JobService(
            tmp_path / "studio", executor=Slurm(threads), elsewhere=True, plugins=PLUGINS, threads=1
        )
        made = [service.submit(RunSpec("train", options=TRAIN)) for _ in range(2)]
        runs = [service.wait(run_id, 120) for run_id in made]
        assert [run.status for run in runs] == ["done", "done"], [run.error for run in runs]
        weights = [service.results(run_id)["weights"] for run_id in made]
        assert weights[0] == weights[1]
        service.close()


@pytest.mark.slow
def test_one_sentence_where_the_scheduler_does_not_answer(places, tmp_path, capsys):
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    command = ["--home", str(tmp_path), "--headless", "--scheduler"]
    for address, sentence in (
        (f"tcp://127.0.0.1:{free_port()}", "cannot be reached"),
        ("localhost:8786", "at an address such as tcp://host:8786"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRUNEVIZ_SCHEDULER", "")
            assert main([*command, address]) == 2
        said = capsys.readouterr().err.splitlines()
        assert sentence in said[-1]


def test_a_scheduler_needs_database_and_store(tmp_path):
    with pytest.raises(errors.InvalidValueError, match="set --database and --store beside"):
        JobService(tmp_path, scheduler="tcp://127.0.0.1:1")


@pytest.fixture
def dask(places, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    cluster = DaskCluster(tmp_path / "dask", places)
    yield cluster
    cluster.close()


@pytest.mark.sweep
def test_a_run_goes_on_at_another_worker_to_the_same_weights(dask, tmp_path, until):
    with JobService(
        tmp_path / "studio", scheduler=dask.address, plugins=PLUGINS, threads=1, stale=5
    ) as service:
        slow = service.submit(RunSpec("train", options={**TRAIN, "hold": 2}))
        until(service, slow, lambda _: "No worker is connected" in (service.trouble() or ""))
        for _ in range(2):
            dask.start_worker()
        calm = service.submit(RunSpec("train", options=TRAIN))
        assert service.wait(calm, 120).status == "done", service.get(calm).error
        assert service.trouble() is None
        run = until(service, slow, lambda run: run.checkpoints == 2)
        os.kill(run.pid, signal.SIGKILL)
        run = service.wait(slow, 120)
        assert (run.status, run.attempts) == ("done", 2), run.error
        assert service.results(slow)["weights"] == service.results(calm)["weights"]
        cancelled = service.submit(RunSpec("train", options={**TRAIN, "hold": 1}))
        until(service, cancelled, lambda run: run.checkpoints == 1)
        begun = time.monotonic()
        service.cancel(cancelled)
        assert service.wait(cancelled, 60).status == "cancelled"
        assert time.monotonic() - begun < 10


@pytest.mark.sweep
def test_while_the_scheduler_is_gone_runs_wait_and_nothing_is_lost(dask, tmp_path, until):
    dask.start_worker()
    with JobService(
        tmp_path / "studio", scheduler=dask.address, plugins=PLUGINS, threads=1, stale=5
    ) as service:
        held = service.submit(RunSpec("train", options={**TRAIN, "hold": 2}))
        until(service, held, lambda run: run.checkpoints == 2)
        dask.kill_scheduler()
        after = service.submit(RunSpec("train", options=TRAIN))
        until(service, after, lambda _: "cannot be reached" in (service.trouble() or ""))
        assert service.get(after).status == "queued"
        dask.start_scheduler()
        dask.start_worker()
        runs = [service.wait(run_id, 150) for run_id in (after, held)]
        assert [run.status for run in runs] == ["done", "done"], [run.error for run in runs]
        assert service.results(held)["weights"] == service.results(after)["weights"]

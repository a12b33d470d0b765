"""Runs from submission to end, with a thread as the worker: any Executor will do."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from concurrent.futures import Executor, Future

import pytest

from pruneviz import errors
from pruneviz.jobs import JobService, RunSpec, driving, files, home, register, tending
from pruneviz.jobs.context import Interruption, JobContext
from pruneviz.jobs.driving import drive
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.leases import claim
from tests.jobs.job_fakes import Step


def test_a_run_leaves_its_history_and_its_result(threaded, spec):
    run = threaded.wait(threaded.submit(spec(steps=4)), 120)
    assert (run.status, run.progress, run.error) == ("done", 1.0, None)
    assert run.created <= run.started <= run.ended
    assert 0 < run.seconds <= run.ended - run.started
    rows = threaded.metrics(run.id)
    assert [(m.level, m.step, m.units_left) for m in rows] == [
        ("step", step, 100 - step) for step in (1, 2, 3, 4)
    ]
    assert threaded.results(run.id)["last"]["step"] == 4


def test_runs_are_done_in_order_and_a_failing_one_does_not_stop_the_queue(threaded, spec):
    wanted = [spec(), spec("fails", own=True), spec("fails"), spec("count", name="last")]
    ids = [threaded.submit(one) for one in wanted]
    runs = [threaded.wait(run_id, 120) for run_id in ids]
    assert [run.status for run in runs] == ["done", "failed", "failed", "done"]
    assert runs[1].error == "The folder 'x' has no classes. Make one folder a class."
    assert runs[2].error == "KeyError: 'boom'"
    assert "job_fakes.py" in runs[2].trace
    assert [run.started for run in runs] == sorted(run.started for run in runs)


def test_an_unknown_kind_is_refused_before_it_is_queued(threaded):
    with pytest.raises(errors.UnknownNameError, match=r"kind of run 'fine'.*count"):
        threaded.submit(RunSpec("fine"))
    assert threaded.list() == ()


def test_a_plugin_that_is_not_there_is_said(tmp_path):
    with (
        JobService(tmp_path, plugins=("no_such_plugin",)) as service,
        pytest.raises(errors.InvalidValueError, match=r"'no_such_plugin'.*must be importable"),
    ):
        service.submit(RunSpec("count"))


def test_cancel_takes_effect_within_a_batch(threaded, spec, until):
    run_id = threaded.submit(spec("train", epochs=1000, steps=1000, pause=0.01))
    until(threaded, run_id, lambda run: run.progress > 0)
    assert threaded.cancel(run_id).status == "cancelling"
    run = until(threaded, run_id, lambda run: not run.active)
    assert run.status == "cancelled"
    assert run.progress < 0.1
    assert threaded.results(run_id) == {}


def test_after_an_order_not_one_batch_more_is_asked_for(store, spec):
    mine = claim(store, store.create(spec()).id)
    pulse = Pulse(mine)  # not started: it looks when it is told to
    job = JobContext(mine, pulse)
    given = []

    def events():
        for step in range(1, 100):
            given.append(step)
            if step == 7:
                store.request_cancel(mine.run.id)
                pulse.look()
            yield Step(step, 100, 0.5, 1)

    with pytest.raises(Interruption, match="cancel"):
        drive(job, events())
    assert given == [1, 2, 3, 4, 5, 6, 7]


def test_a_long_forward_pass_without_events_is_cancelled_too(threaded, spec, until):
    import torch

    passes = []

    @register("silent")
    def silent(job: JobContext) -> None:
        import copy

        model = torch.nn.Linear(2, 2)
        with job.watch(model):
            again = copy.deepcopy(model)
            while True:
                passes.append(again(torch.ones(1, 2)))
                time.sleep(0.01)

    run_id = threaded.submit(spec("silent"))
    until(threaded, run_id, lambda run: bool(passes))
    threaded.cancel(run_id)
    assert until(threaded, run_id, lambda run: not run.active).status == "cancelled"


def test_cancelling_what_waits(threaded, spec, until):
    first = threaded.submit(spec(steps=1000, pause=0.02))
    second = threaded.submit(spec())
    assert threaded.cancel(second).status == "cancelled"
    threaded.cancel(first)
    assert threaded.wait(first, 120).status == "cancelled"
    third = threaded.submit(spec())
    assert threaded.wait(third, 120).status == "done"
    assert threaded.get(second).attempts == 0


def test_a_finished_run_keeps_no_checkpoints(threaded, spec):
    run = threaded.wait(threaded.submit(spec("train", epochs=3)), 120)
    assert (run.status, run.checkpoints) == ("done", 3)
    threaded.wait(threaded.submit(spec()), 120)  # they go once "done" is recorded: before the next
    assert list(threaded.files(run.id).iterdir()) == []


def test_deleting_what_is_under_way(threaded, spec, until):
    run_id = threaded.submit(spec("train", epochs=1000, pause=0.01))
    until(threaded, run_id, lambda run: run.checkpoints > 0)
    threaded.delete(run_id)
    with pytest.raises(errors.UnknownNameError):
        threaded.get(run_id)
    assert threaded.wait(threaded.submit(spec()), 120).status == "done", "the worker is free again"
    assert not threaded.files(run_id).exists()


def test_a_run_waits_while_the_disk_is_full_and_goes_on_by_itself(threaded, spec, monkeypatch):
    reference = threaded.submit(spec("train", epochs=4))
    threaded.wait(reference, 120)
    saved, full, refused = [], threading.Event(), threading.Event()
    full.set()
    real = os.fsync

    def sync(handle: int) -> None:
        saved.append(handle)
        if len(saved) > 2 and full.is_set():  # from the second checkpoint on
            refused.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(files.os, "fsync", sync)
    run_id = threaded.submit(spec("train", epochs=4))
    assert refused.wait(120)
    assert threaded.get(run_id).status == "running"
    full.clear()
    run = threaded.wait(run_id, 120)
    assert (run.status, run.error, run.attempts) == ("done", None, 1)
    assert threaded.results(run_id) == threaded.results(reference)


def test_a_run_that_waits_for_a_full_disk_is_cancelled(threaded, spec, until, monkeypatch):
    refused = threading.Event()

    def full(_: int) -> None:
        refused.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    run_id = threaded.submit(spec("train", epochs=4))
    assert refused.wait(120)
    threaded.cancel(run_id)
    assert until(threaded, run_id, lambda run: not run.active).status == "cancelled"


def test_runs_are_not_taken_up_on_a_full_disk_and_then_are(threaded, spec, until, monkeypatch):
    full = threading.Event()
    full.set()
    real = shutil.disk_usage

    def usage(path: object) -> object:
        found = real(path)
        return found._replace(free=2**20) if full.is_set() else found

    monkeypatch.setattr(home.shutil, "disk_usage", usage)
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.05)
    ids = [threaded.submit(spec()) for _ in range(4)]
    until(threaded, ids[-1], lambda _: len(threaded._dispatcher._held_back) == 4)
    assert [threaded.get(i).status for i in ids] == ["queued"] * 4
    assert "needs 64 MiB of free space" in threaded.trouble()
    assert threaded.cancel(ids[1]).status == "cancelled"
    full.clear()
    runs = [until(threaded, i, lambda run: not run.active) for i in ids]
    assert [run.status for run in runs] == ["done", "cancelled", "done", "done"]
    until(threaded, ids[0], lambda _: threaded.trouble() is None)


def test_a_damaged_checkpoint_falls_back_and_ends_the_same(threaded, spec, until):
    reference = threaded.submit(spec("train", epochs=5))
    run_id = threaded.submit(spec("train", epochs=5, hold=3))
    until(threaded, run_id, lambda run: run.checkpoints >= 3)
    threaded.cancel(run_id)
    until(threaded, run_id, lambda run: not run.active)
    newest = max(threaded.files(run_id).glob("checkpoint-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-200])
    threaded.resume(run_id)
    assert threaded.wait(run_id, 120).status == "done"
    assert threaded.results(run_id) == threaded.results(reference)
    assert [m.epoch for m in threaded.metrics(run_id, level="epoch")] == [1, 2, 3, 4, 5]


def test_of_two_apps_on_one_home_one_resumes(tmp_path, threaded, spec, until):
    run_id = threaded.submit(spec("train", epochs=1000, pause=0.01))
    until(threaded, run_id, lambda run: run.checkpoints >= 1)
    threaded.cancel(run_id)
    done = until(threaded, run_id, lambda run: not run.active).checkpoints
    other = JobService(
        tmp_path, executor=threaded._workers.executor, plugins=("tests.jobs.job_fakes",)
    )
    start = threading.Barrier(2)

    def resume(service: JobService) -> None:
        start.wait()
        service.resume(run_id)

    both = [threading.Thread(target=resume, args=(s,)) for s in (threaded, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    until(threaded, run_id, lambda run: run.checkpoints > done)
    assert threaded.get(run_id).attempts == 2
    threaded.cancel(run_id)
    until(threaded, run_id, lambda run: not run.active)
    other.close()


class Refusing(Executor):
    """An executor whose workers cannot do anything."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_exception(RuntimeError("no room in the cluster"))
        return future


def test_an_executor_that_fails_is_shown_on_the_run(tmp_path, spec, until):
    with JobService(tmp_path, executor=Refusing(), plugins=("tests.jobs.job_fakes",)) as service:
        run_id = service.submit(spec())
        run = until(service, run_id, lambda run: not run.active)
        assert (run.status, run.error) == ("failed", "RuntimeError: no room in the cluster")


def test_waiting_has_an_end(threaded, spec):
    run_id = threaded.submit(spec(steps=1000, pause=0.02))
    with pytest.raises(errors.InvalidValueError, match=r"has not ended after 0.1 s"):
        threaded.wait(run_id, 0.1)


def test_rename(threaded, spec):
    run_id = threaded.submit(spec())
    assert threaded.rename(run_id, "half of the units").name == "half of the units"
    assert threaded.wait(run_id, 120).name == "half of the units"


def test_an_expected_duration_comes_from_runs_like_it(threaded):
    def like(**changes):
        values = {"kind": "count", "model": {"name": "a"}, "options": {"epochs": 2, "pause": 0.1}}
        return RunSpec(**{**values, **changes})

    assert threaded.expected_duration(like()) is None
    run = threaded.wait(threaded.submit(like()), 120)
    assert threaded.expected_duration(like()) == pytest.approx(run.seconds)
    longer = like(options={"epochs": 6, "pause": 0.1, "seed": 3})
    assert threaded.expected_duration(longer) == pytest.approx(3 * run.seconds)
    assert threaded.expected_duration(like(model={"name": "b"})) is None
    assert threaded.expected_duration(like(options={"epochs": 2, "pause": 0.2})) is None


def test_batches_are_kept_a_few_a_second_with_their_mean(threaded, spec, monkeypatch):
    monkeypatch.setattr(driving, "BATCH_SECONDS", 0.2)
    run_id = threaded.submit(spec("train", epochs=2, steps=40, pause=0.01))
    run = threaded.wait(run_id, 120)
    rows = threaded.metrics(run_id, level="batch")
    assert 2 <= len(rows) <= run.seconds / 0.2 + 1
    assert all(0 < row.loss < 3 for row in rows)
    assert [row.epoch for row in rows] == sorted(row.epoch for row in rows)
    assert len(threaded.metrics(run_id, level="epoch")) == 2


@pytest.mark.parametrize("order", ["none", "cancel", "kill"])
def test_of_a_result_that_grows_quickly_the_last_one_is_stored(
    threaded, spec, until, monkeypatch, order
):
    """What came within a second of its forerunner was passed over for good."""
    run_id = threaded.submit(spec("grows", hold=0 if order == "none" else 2))
    if order != "none":
        until(threaded, run_id, lambda run: run.checkpoints >= 2)
        if order == "kill":  # nothing is stored after the last checkpoint
            monkeypatch.setattr(JobContext, "keep_waiting", lambda self: None)
        threaded.cancel(run_id)
        until(threaded, run_id, lambda run: not run.active)
        assert threaded.results(run_id)["found"] == [0, 1]
        threaded.resume(run_id)
    assert threaded.wait(run_id, 60).status == "done"
    assert threaded.results(run_id)["found"] == [0, 1]

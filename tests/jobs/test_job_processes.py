"""Runs in spawned processes: killed, orphaned, interrupted, resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pruneviz.jobs import JobService, RunStore
from pruneviz.jobs.alive import identity, is_alive
from pruneviz.jobs.worker import CLOSED

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@pytest.fixture
def pooled(tmp_path):
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",)) as service:
        yield service


def _start_app(home: Path, script: str) -> subprocess.Popen:
    """Run a script as an app of its own; it sees `service` and `spec`."""
    before = """
    import sys, time
    from pruneviz.jobs import JobService, RunSpec
    service = JobService(sys.argv[1], plugins=("tests.jobs.job_fakes",))
    def spec(kind, **options):
        return RunSpec(kind, options=options)
    """
    path = home / "its_app.py"  # without the usual guard against being run again by its workers
    path.write_text(textwrap.dedent(before) + textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, str(path), str(home)], env=environment)


@pytest.mark.sweep
@POSIX
def test_killed_interrupted_resumed_and_the_weights_are_the_same(pooled, spec, until):
    reference = pooled.submit(spec("train", epochs=6))
    killed = pooled.submit(spec("train", epochs=6, hold=2))
    after = pooled.submit(spec("count", name="after"))
    run = until(pooled, killed, lambda run: run.checkpoints >= 2, 120)
    worker = run.pid
    assert worker != os.getpid()
    os.kill(worker, signal.SIGKILL)
    run = until(pooled, killed, lambda run: not run.active)
    assert run.status == "interrupted"
    assert "ended unexpectedly" in run.error
    assert 0 < run.progress < 1
    assert pooled.wait(after, 120).status == "done", "the queue goes on in a new process"
    pooled.resume(killed)
    again = pooled.wait(killed, 120)
    assert (again.status, again.attempts) == ("done", 2)
    assert pooled.results(killed)["weights"] == pooled.results(reference)["weights"]
    assert [m.epoch for m in pooled.metrics(killed, level="epoch")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@POSIX
def test_a_run_that_kills_its_worker_every_time_does_not_stop_the_queue(pooled, spec):
    ids = [pooled.submit(spec(kind)) for kind in ("dies", "count", "dies", "count")]
    statuses = [pooled.wait(run_id, 120).status for run_id in ids]
    assert statuses == ["interrupted", "done", "interrupted", "done"]
    pooled.resume(ids[0])
    assert pooled.wait(ids[0], 120).status == "interrupted"


@pytest.mark.slow
def test_workers_that_cannot_start_fail_the_run(pooled, spec, monkeypatch):
    from pruneviz.jobs import executor

    monkeypatch.setattr(executor, "prepare_process", _refuse)
    run = pooled.wait(pooled.submit(spec()), 120)
    assert run.status == "failed"
    assert "could not be started" in run.error


def _refuse() -> None:
    raise SystemExit(3)


@pytest.mark.slow
def test_closing_interrupts_what_runs_and_keeps_the_queue(tmp_path, spec, until):
    service = JobService(tmp_path, plugins=("tests.jobs.job_fakes",))
    first = service.submit(spec(steps=10_000, pause=0.02))
    second = service.submit(spec())
    until(service, first, lambda run: run.progress > 0)
    service.close()
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",)) as again:
        run = again.get(first)
        assert (run.status, run.message) == ("interrupted", CLOSED)
        assert run.progress < 1, "it was not waited for"
        assert again.wait(second, 120).status == "done", "adopted without being asked"


@pytest.mark.slow
@POSIX
def test_an_app_that_ends_by_itself_does_not_wait_for_its_runs(tmp_path, spec, until):
    app = _start_app(
        tmp_path,
        """
        run_id = service.submit(spec("count", steps=10_000, pause=0.02))
        while service.get(run_id).progress == 0:
            time.sleep(0.02)
        """,
    )
    assert app.wait(120) == 0
    store = RunStore(tmp_path)
    assert [run.status for run in store.list()] == ["interrupted"]
    store.close()


@pytest.mark.slow
@POSIX
def test_the_app_is_killed_and_its_run_goes_on_to_its_end(tmp_path, spec, until):
    app = _start_app(
        tmp_path,
        """
        service.submit(spec("count", steps=100, pause=0.02))
        service.submit(spec("count"))
        time.sleep(60)
        """,
    )
    store = RunStore(tmp_path)
    end = time.monotonic() + 120
    while not any(run.progress > 0 for run in store.list()):
        assert time.monotonic() < end
        time.sleep(0.02)
    app.kill()
    app.wait()
    first, second = sorted(store.list(), key=lambda run: run.created)
    worker, known = first.pid, identity(first.pid)
    store.close()
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",)) as service:
        assert service.recover() == (), "its worker lives"
        assert until(service, first.id, lambda run: not run.active).status == "done"
        assert service.get(first.id).pid is None
        assert until(service, second.id, lambda run: not run.active).status == "done"
        while is_alive(worker, known):
            assert time.monotonic() < end, "the worker outlives its app for good"
            time.sleep(0.02)


@pytest.mark.slow
@POSIX
def test_app_and_worker_are_killed(tmp_path, spec, until):
    app = _start_app(
        tmp_path,
        """
        service.submit(spec("count", steps=10_000, pause=0.02))
        time.sleep(60)
        """,
    )
    store = RunStore(tmp_path)
    end = time.monotonic() + 120
    while not any(run.progress > 0 for run in store.list()):
        assert time.monotonic() < end
        time.sleep(0.02)
    worker = store.list()[0].pid
    known = identity(worker)
    app.kill()
    os.kill(worker, signal.SIGKILL)
    app.wait()
    while is_alive(worker, known):
        time.sleep(0.02)
    store.close()
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",)) as service:
        (run,) = service.recover()
        assert run.status == "interrupted"
        assert run.resumable
        assert service.recover() == ()


@pytest.mark.slow
def test_workers_are_nice_and_leave_a_core(pooled, spec):
    from tests.jobs.job_fakes import PROBE

    run = pooled.wait(pooled.submit(spec(PROBE)), 120)
    seen = pooled.results(run.id)["seen"]
    from pruneviz.jobs.worker import default_threads

    assert seen["threads"] == default_threads() == run.threads
    assert seen["nice"] == min(19, os.nice(0) + 5)


@pytest.mark.slow
def test_deleting_what_waits_harms_nobody(pooled, spec, until):
    """The worker that comes to a deleted run says so, and goes on."""
    innocent = pooled.submit(spec(steps=10_000, pause=0.01))
    until(pooled, innocent, lambda run: run.progress > 0)
    waiting = [pooled.submit(spec()) for _ in range(8)]
    futures = [pooled._dispatcher._futures[run_id] for run_id in waiting]
    for run_id in waiting:
        pooled.delete(run_id)
    last = pooled.submit(spec())
    worker = pooled.get(innocent).pid
    pooled.cancel(innocent)
    assert pooled.wait(innocent, 120).status == "cancelled"
    assert pooled.wait(last, 120).status == "done"
    assert [future.result(120) for future in futures] == ["deleted"] * 8
    assert [process.pid for process in pooled._workers.pool.processes()] == [worker]


@pytest.mark.slow
@POSIX
def test_one_killed_worker_interrupts_only_its_own_run(tmp_path, spec, until):
    with JobService(tmp_path, workers=3, plugins=("tests.jobs.job_fakes",)) as service:
        ids = [service.submit(spec(steps=10_000, pause=0.01)) for _ in range(3)]
        pids = [until(service, i, lambda run: run.progress > 0).pid for i in ids]
        assert len(set(pids)) == 3
        os.kill(pids[1], signal.SIGKILL)
        assert until(service, ids[1], lambda run: not run.active).status == "interrupted"
        seen = [service.get(i).progress for i in ids]
        for i in (0, 2):
            run = until(service, ids[i], lambda run, i=i: run.progress > seen[i])
            assert (run.status, run.pid, run.attempts) == ("running", pids[i], 1)
        assert service.resume(ids[1]).status == "queued"
        assert until(service, ids[1], lambda run: run.attempts == 2 and run.pid).pid not in pids

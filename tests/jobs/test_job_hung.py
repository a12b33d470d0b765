"""Workers that live but do not answer, and orders that come by signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import psutil
import pytest

from pruneviz.jobs import JobService, RunStore, tending, watch
from pruneviz.jobs.leases import claim
from pruneviz.jobs.watch import Watch
from pruneviz.jobs.worker import CLOSED

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@pytest.fixture
def pooled(tmp_path, monkeypatch):
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.1)
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",), stale=3.0) as made:
        yield made


@pytest.mark.slow
def test_a_worker_that_hangs_is_noticed_ended_and_said(pooled, spec, until):
    run = until(pooled, pooled.submit(spec(steps=10_000, pause=0.02)), lambda run: run.progress > 0)
    os.kill(run.pid, signal.SIGSTOP)
    found = until(pooled, run.id, lambda run: not run.active)
    assert found.status == "interrupted"
    assert re.search(r"had not responded for [3-9] s and was killed. Resume", found.error)
    assert pooled.wait(pooled.submit(spec()), 120).status == "done", "the queue goes on"


def test_a_run_that_does_not_obey_is_ended(pooled, spec, until, monkeypatch):
    monkeypatch.setattr(watch, "DISOBEYED_SECONDS", 1.0)
    run_id = pooled.submit(spec("deaf"))
    run = until(pooled, run_id, lambda run: run.message == "Deaf")
    assert pooled.cancel(run_id).status == "cancelling"
    assert until(pooled, run_id, lambda run: not run.active).status == "cancelled"
    assert not psutil.pid_exists(run.pid) or psutil.Process(run.pid).status() == "zombie"


def test_a_heartbeat_is_judged_by_when_it_was_seen(store, spec, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    looked = Watch(stale=60)
    run = replace(claim(store, store.create(spec()).id).run, heartbeat=1.0)  # of years ago
    assert looked.look([run]) == []
    clock[0] = 59.0
    assert looked.look([run]) == []
    assert looked.look([replace(run, heartbeat=2.0)]) == []
    clock[0] = 61.0
    assert looked.look([replace(run, heartbeat=2.0)]) == []
    clock[0] = 120.0
    (hung,) = looked.look([replace(run, heartbeat=2.0)])
    assert "not responded for 61 s" in hung.why
    looked.forget()
    assert looked.look([replace(run, heartbeat=2.0)]) == []


def test_a_silent_worker_is_looked_at_again_before_it_is_ended(store, spec, monkeypatch):
    """Records that were locked for a minute are free again before the heartbeat is written."""
    clock = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    looked = Watch(stale=60)
    run = replace(claim(store, store.create(spec()).id).run, heartbeat=1.0)
    looked.look([run])
    clock[0] = 61.0
    assert looked.confirmed(looked.look([run])) == []
    clock[0] = 64.0
    beating = replace(run, heartbeat=2.0)
    assert looked.confirmed(looked.look([beating])) == []
    clock[0] = 125.0
    assert looked.confirmed(looked.look([beating])) == []
    clock[0] = 134.0
    assert looked.confirmed(looked.look([beating])) == []
    clock[0] = 135.0
    (hung,) = looked.confirmed(looked.look([beating]))
    assert not hung.disobeyed


@pytest.mark.slow
def test_work_that_gives_no_sign_is_told_from_a_worker_that_lives(pooled, spec, until):
    run_id = pooled.submit(spec("deaf"))
    first = until(pooled, run_id, lambda run: run.message == "Deaf")
    later = until(pooled, run_id, lambda run: run.heartbeat > first.heartbeat + 2)
    assert later.worked <= first.heartbeat
    os.kill(later.pid, signal.SIGKILL)


def test_cancel_answers_within_a_download_that_waits_for_the_network(pooled, spec, until):
    """A socket that stays silent: nothing but a signal gets through to it."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        run_id = pooled.submit(spec("downloads", port=server.getsockname()[1]))
        connection, _ = server.accept()
        pooled.cancel(run_id)
        run = until(pooled, run_id, lambda run: not run.active, 20)
        connection.close()
    assert run.status == "cancelled"
    assert run.attempts == 1


APP = """
import sys, time
from pruneviz.jobs import JobService, RunSpec
service = JobService(sys.argv[1], plugins=("tests.jobs.job_fakes",))
service.submit(RunSpec("train", options={"epochs": 1000, "pause": 0.002}))
service.submit(RunSpec("count"))
time.sleep(600)
"""


@pytest.mark.sweep
def test_sigterm_to_the_whole_group_stops_runs_in_order(tmp_path, spec, until):
    """As service managers end a server: the app dies at once, its worker ends its run."""
    path = tmp_path / "its_app.py"
    path.write_text(textwrap.dedent(APP))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    app = subprocess.Popen(
        [sys.executable, str(path), str(tmp_path)], env=environment, start_new_session=True
    )
    store = RunStore(tmp_path)
    pause, end = threading.Event(), time.monotonic() + 120
    while not any(run.checkpoints >= 1 for run in store.list()):
        assert time.monotonic() < end
        pause.wait(0.02)
    second, first = store.list()
    worker = psutil.Process(first.pid)
    os.killpg(app.pid, signal.SIGTERM)
    app.wait(60)
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    run = store.get(first.id)
    assert (run.status, run.message, run.error) == ("interrupted", CLOSED, None)
    assert not run.held
    assert store.get(second.id).status == "queued", "none is begun in a process that leaves"
    store.close()
    with JobService(tmp_path, plugins=("tests.jobs.job_fakes",)) as again:
        assert again.wait(second.id, 120).status == "done"
        again.resume(first.id)
        more = until(again, first.id, lambda now: now.checkpoints > run.checkpoints)
        assert more.progress >= run.progress
        again.cancel(first.id)

"""The log of a studio that is served, with its worker: JSON alone, and no secret in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import psutil
import pytest

from pruneviz import logs
from pruneviz.catalog import ModelSource
from pruneviz.jobs import RunSpec, RunStore
from tests.cluster.servers import COMMAND, PASSWORD, Studio, deployed, free_port

TOKEN, WRONG, DOOR = "the-owners-own-token", "a-guess-at-the-token", "what visitors type"
LONG = 240.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "studio"
    folder.mkdir()
    return folder


@pytest.fixture
def studio(home: Path, new_database: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A studio behind a door, with its records in PostgreSQL."""
    places = {
        "PRUNEVIZ_DATABASE": new_database,
        "PRUNEVIZ_TOKEN": TOKEN,
        "PRUNEVIZ_PASSWORD": DOOR,
    }
    made = Studio(home, places, "--log-format", "json", output=subprocess.PIPE)
    yield made.process, made.port
    made.process.kill()
    made.process.wait()


def ask(port: int, path: str) -> int:
    """The status of the answer; 0 where there is none."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Accept": "text/html"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_line_is_json_and_tells_no_secret(
    studio: tuple[subprocess.Popen[str], int], home: Path, new_database: str
) -> None:
    process, port = studio
    store = RunStore(home, new_database)
    spec = RunSpec(
        "rank",
        ModelSource("resnet20", "digits").to_dict(),
        {"name": "digits", "options": {}},
        options={"criteria": ["l1"]},
        owner="a visitor",
    )
    run_id, broken = (
        store.create(one).id for one in (spec, RunSpec("fine_tune", options={}, owner="a visitor"))
    )
    end = time.monotonic() + LONG
    while ask(port, "/readyz") != 200:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    assert ask(port, f"/?token={WRONG}") == 401
    assert ask(port, f"/?token={TOKEN}") == 200
    while any(store.get(one).active for one in (run_id, broken)):
        assert time.monotonic() < end
        time.sleep(0.2)
    store.close()
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=60)
    by_event: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in told.splitlines():
        one = json.loads(line)
        assert {"time", "level", "event", "process"} <= one.keys()
        by_event[one["event"]].append(one)
    assert by_event["studio opened"][0]["address"] == f"http://localhost:{port}"
    (begun,) = (one for one in by_event["run begun"] if one["run"] == run_id)
    (ended,) = (one for one in by_event["run ended"] if one["run"] == run_id)
    assert begun["owner"] == ended["owner"] != "a visitor"
    assert len(ended["owner"]) == 8
    assert ended["status"] == "done"
    assert ended["seconds"] > 0
    assert ended["process"] == begun["process"] != by_event["studio opened"][0]["process"]
    (failed,) = (one for one in by_event["run ended"] if one["run"] == broken)
    assert (failed["status"], failed["level"]) == ("failed", "warning")
    assert "needs the sources" in failed["why"]
    assert by_event["visitor turned away"][0]["level"] == "warning"
    assert by_event["visitor came in"][0]["role"] == "owner"
    assert by_event["studio closed"][0]["seconds"] > 0
    for secret in (PASSWORD, TOKEN, WRONG, DOOR, "a visitor"):
        assert secret not in told


def test_an_unreachable_database_is_told_without_its_password(home: Path) -> None:
    pytest.importorskip("psycopg", reason="needs the extra 'cluster'")
    address = f"postgresql+psycopg://pruner:{PASSWORD}@127.0.0.1:{free_port()}/records"
    code = (
        "from pruneviz import logs; logs.set_up()\n"
        "from pruneviz.jobs import JobService\n"
        f"JobService({str(home)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PRUNEVIZ_DATABASE": address, logs.VARIABLE: "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert "StorageUnreachableError" in json.loads(line)["trace"]
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_dask_worker_logs_as_the_studio_does(
    new_database: str, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    with deployed(tmp_path, new_database) as far:
        worker = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "worker", "--home", str(home), "--log-format", "json"],
            env=far.dask.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            run_id = far.service.submit(RunSpec("fine_tune", owner="a visitor"))
            assert far.service.wait(run_id, LONG).status == "failed"
            for child in psutil.Process(worker.pid).children():
                child.send_signal(signal.SIGINT)
            told, _ = worker.communicate(timeout=60)
        finally:
            worker.kill()
            worker.wait()
    lines = [json.loads(line) for line in told.splitlines()]
    (ended,) = (one for one in lines if one["event"] == "run ended")
    assert (ended["run"], ended["status"]) == (run_id, "failed")
    assert {one["event"] for one in lines} >= {"worker started", "run begun"}
    assert any(str(one.get("logger", "")).startswith("distributed") for one in lines)
    assert PASSWORD not in told

"""A worker started inside `streamlit run` must not run the app's script again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from pruneviz.jobs import RunStore, Which
from pruneviz.jobs.worker import CLOSED

APP = """
import os, sys, time
from pathlib import Path
import streamlit as st
from pruneviz.jobs import JobService, RunSpec

home = Path(os.environ["HOME_OF_RUNS"])
with (home / "executed").open("a") as log:
    log.write(f"{os.getpid()} {__name__}\\n")

@st.cache_resource
def service():
    return JobService(home, plugins=("tests.jobs.job_fakes",))

if "long" in st.query_params:
    service().submit(RunSpec("count", options={"steps": 10_000, "pause": 0.02}))
else:
    for number in range(2):
        service().submit(RunSpec("main"))
st.write("submitted")
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _visit(port: int, query: str = "") -> None:
    """Open the page as a browser does: a session, and the wish to have the script run."""
    import asyncio

    from streamlit.proto.BackMsg_pb2 import BackMsg
    from tornado.websocket import websocket_connect

    wish = BackMsg()
    wish.rerun_script.query_string = query

    async def talk() -> None:
        socket = await websocket_connect(f"ws://127.0.0.1:{port}/_stcore/stream")
        await socket.write_message(wish.SerializeToString(), binary=True)
        for _ in range(3):
            await socket.read_message()

    asyncio.run(talk())


@pytest.mark.slow
def test_the_script_is_not_run_again_by_its_workers(tmp_path):
    script = tmp_path / "page.py"
    script.write_text(APP)
    port = _free_port()
    environment = {
        **os.environ,
        "HOME_OF_RUNS": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    options = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1",
               "--browser.gatherUsageStats=false", "--server.fileWatcherType=none"]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), *options],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 180
        while True:
            assert time.monotonic() < end, "streamlit did not start"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        visits = [threading.Thread(target=_visit, args=(port,)) for _ in range(2)]
        for visit in visits:
            visit.start()
        store = RunStore(tmp_path)
        while [run.status for run in store.list()] != ["done"] * 4:
            failed = [run.error for run in store.list(Which(status="failed"))]
            assert not failed
            assert time.monotonic() < end, store.list()
            time.sleep(0.1)
        for visit in visits:
            visit.join()
        seen = [store.results(run.id)["seen"] for run in store.list()]
        _visit(port, "long=1")
        while not any(0 < run.progress < 1 for run in store.list()):
            assert time.monotonic() < end, store.list()
            time.sleep(0.1)
    finally:
        server.terminate()
        ended = server.wait(60)
    executed = [line.split() for line in (tmp_path / "executed").read_text().splitlines()]
    assert executed
    assert {int(pid) for pid, _ in executed} == {server.pid}, "only the server ran the script"
    assert {name for _, name in executed} == {"__main__"}
    assert seen == [{"main": None, "torch": False}] * 4
    assert ended == 0, "the server does not wait for its runs"
    assert store.list()[0].status == "interrupted"
    assert store.list()[0].message == CLOSED
    store.close()

"""Kills at random moments: afterwards all runs are there, and end with the same bits."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pruneviz.jobs import JobService, RunStore
from tests.chaos import work
from tests.chaos.figures import Tally
from tests.chaos.server import Server

VICTIMS = ("worker", "server", "both")
LONGEST = 240.0  # seconds in which a run ends that nobody disturbs any more


def references(kinds: Sequence[str], home: Path, root: Path, epochs: int) -> dict[str, Any]:
    """Do one run of each kind in peace, and return what they left and how long they took."""
    found = {}
    with JobService(home, threads=1) as service:
        ids = {kind: service.submit(work.spec(kind, root, epochs)) for kind in kinds}
        for kind, run_id in ids.items():
            run = service.wait(run_id, LONGEST * len(kinds))
            if run.status != "done":
                raise AssertionError(f"{kind} in peace: {run.error}\n{run.trace}")
            found[kind] = (work.left(service.store, run_id), run.seconds)
    return found


def kill_at_random(
    kind: str, victim: str, home: Path, root: Path, epochs: int, peace: Any, dice: random.Random
) -> Tally:
    """Kill while a run is under way, let a server take it up again, and compare."""
    home.mkdir()
    tally, store = Tally(tried=1), RunStore(home)
    run = store.create(work.spec(kind, root, epochs))
    server = Server(home)
    try:
        end = time.monotonic() + LONGEST
        while store.get(run.id).status == "queued" and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 1.1 * peace[1]))
        worker = store.get(run.id).pid
        if victim != "worker":
            server.kill()
        if victim == "both" and worker is not None:
            for process in (p for p in psutil.process_iter() if p.pid == worker):
                process.kill()
        if victim == "worker":
            server.kill_workers()
        tally.kills += 1 + (victim == "both")
        if victim != "worker":
            server = Server(home)
        end = time.monotonic() + LONGEST
        while (now := store.get(run.id)).status != "done" and time.monotonic() < end:
            time.sleep(0.05)
        tally.add(_judged(store, replace(now), f"{kind}, {victim} killed", peace[0]))
    finally:
        server.end()
        store.close()
        shutil.rmtree(home, ignore_errors=True)
    return tally


def _judged(store: RunStore, run: Any, what: str, peace: dict[str, Any]) -> Tally:
    tally = Tally()
    if run.status != "done":
        tally.lost.append(f"{what}: {run.status}, {run.error}\n{run.trace or ''}")
        return tally
    tally.ended, tally.compared = 1, 1
    found = work.left(store, run.id)
    wrong = [name for name in peace if found[name] != peace[name]]
    if wrong:
        tally.others.append(f"{what}: other {', '.join(wrong)} after {run.attempts} attempts")
    tally.equal = int(not wrong)
    return tally

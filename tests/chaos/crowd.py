"""Two servers on one home, and twenty visitors who press everything."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from pruneviz.jobs import JobService, RunSpec, RunStore, Which
from pruneviz.session.decisions import Decisions, Subject, set_ratio
from pruneviz.session.history import History
from pruneviz.session.step_store import StepStore
from pruneviz.ui.frame import memory
from tests.chaos.figures import Tally
from tests.chaos.server import Server

PLUGINS = ("tests.chaos.plugin",)
ACTIONS = ("submit", "cancel", "resume", "rename", "delete", "look", "step")


def two_servers(home: Path, runs: int) -> Tally:
    """Let two servers share one queue: every run is done once."""
    home.mkdir()
    tally, store = Tally(tried=runs), RunStore(home)
    ids = [store.create(RunSpec("latency")).id for _ in range(runs)]  # fails at once: no network
    servers = [Server(home), Server(home)]
    end = time.monotonic() + 240
    try:
        while any(store.get(i).active for i in ids) and time.monotonic() < end:
            time.sleep(0.05)
        for run in (store.get(i) for i in ids):
            tally.ended += run.status == "failed" and run.attempts == 1
            tally.sentences += "needs the sources of a network" in (run.error or "")
            if run.status != "failed" or run.attempts != 1:
                tally.others.append(f"two servers: {run.status} after {run.attempts} attempts")
    finally:
        for server in servers:
            server.end()
        store.close()
    return tally


def visitors(home: Path, seconds: float, seed: int, count: int = 20) -> Tally:
    """Have visitors press everything at once; afterwards each run not deleted is there."""
    tally, lock = Tally(), threading.Lock()
    made: set[str] = set()
    deleted: set[str] = set()
    with JobService(home, plugins=PLUGINS, threads=1) as service:
        steps = StepStore(service.store.database)
        end = time.monotonic() + seconds

        def visit(number: int) -> None:
            dice, mine = random.Random(seed * 1000 + number), Tally()
            history = History.begin(Subject())
            while time.monotonic() < end:
                action = dice.choice(ACTIONS)
                with lock:
                    known = sorted(made)
                run_id = dice.choice(known) if known else ""
                if action == "submit":
                    spec = RunSpec("counts", options={"steps": dice.randrange(1, 30)})
                    found = mine.attempt(action, lambda spec=spec: service.submit(spec))
                    with lock:
                        made.update([found] if found else [])
                elif action == "look":
                    mine.attempt(action, service.list)
                    mine.attempt(action, lambda i=run_id: service.results(i))
                    memory.settle()
                elif action == "step":
                    history = history.push(set_ratio(Decisions(), dice.choice((0.1, 0.2, 0.3))))
                    mine.attempt(action, lambda now=history: steps.save(now))
                elif run_id:
                    if action == "delete":
                        with lock:
                            deleted.add(run_id)
                    rest = ("x",) if action == "rename" else ()
                    order = getattr(service, action)
                    mine.attempt(action, lambda o=order, i=run_id, r=rest: o(i, *r))
            with lock:
                tally.add(mine)

        crowd = [threading.Thread(target=visit, args=(number,)) for number in range(count)]
        for visitor in crowd:
            visitor.start()
        for visitor in crowd:
            visitor.join()
        patience = time.monotonic() + 120
        while any(r.active for r in service.list()):
            if time.monotonic() > patience:
                tally.others.append(f"visitors: no end: {[r.status for r in service.list()]}")
                break
            time.sleep(0.1)
        there = {run.id for run in service.list()}
        tally.lost += [f"visitors: run {i}" for i in made - deleted - there]
        failed = service.list(Which(status="failed")) + service.list(Which(status="interrupted"))
        tally.others += [f"visitors: {run.status}: {run.error}" for run in failed]
    return tally

"""Kills of workers, scheduler and database at random moments, over runs on other machines.

The long form: `python -m tests.cluster.test_chaos_elsewhere 40 30 [SEED]` (runs, kills).
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pruneviz.errors import StorageError
from pruneviz.jobs import JobService, RunSpec
from tests.cluster.servers import (
    DaskCluster,
    PostgresServer,
    deployed,
    own_postgres,
    postgres_programs,
)

PLUGINS = ("tests.jobs.job_fakes",)
EPOCHS = 12
TRAIN: dict[str, Any] = {"epochs": EPOCHS, "steps": 5, "pause": 0.05}
LONG_PAUSE = 0.2
"""Seconds a step in the long form, so that two workers are busy until the last kill."""
WORKERS = 2
VICTIMS = ("worker", "scheduler", "database")


@dataclass
class Course:
    """What became of the runs."""

    kills: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    """Kills while a worker had a run in hand."""
    ended: int = 0
    equal: int = 0
    attempts: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


def disturbed(
    folder: Path, runs: int, kills: int, dice: random.Random, train: dict[str, Any] = TRAIN
) -> Course:
    """Submit runs, kill meanwhile, and compare what they left with an undisturbed one's."""
    course, begun = Course(), time.monotonic()
    with (
        own_postgres() as database,
        deployed(
            folder, database.make("records"), workers=WORKERS, plugins=PLUGINS, stale=6
        ) as far,
    ):
        service = far.service
        calm = service.submit(RunSpec("train", options={**train, "pause": 0}))
        assert service.wait(calm, 120).status == "done"
        peace = service.results(calm)["weights"]
        made = [service.submit(RunSpec("train", options=train)) for _ in range(runs)]
        victims = [VICTIMS[number % 3] for number in range(kills)]
        dice.shuffle(victims)
        for victim in victims:
            time.sleep(dice.uniform(1, 6))
            with suppress(StorageError):
                course.under_way += any(run.held for run in service.list())
            kill(victim, service, far.dask, database, dice)
            course.kills[victim] += 1
        settle(service, far.dask, made)
        for run_id in made:
            judge(course, service, run_id, peace)
    course.seconds = time.monotonic() - begun
    return course


def kill(
    victim: str, service: JobService, dask: DaskCluster, database: PostgresServer,
    dice: random.Random,
) -> None:  # fmt: skip
    """Kill one, and have it back soon, as a service manager would."""
    if victim == "database":
        postmaster = int((database.data / "postmaster.pid").read_text().split()[0])
        family = [psutil.Process(postmaster), *psutil.Process(postmaster).children()]
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, 10)
        time.sleep(dice.uniform(0, 2))
        (database.data / "postmaster.pid").unlink(missing_ok=True)
        database.start()
    elif victim == "scheduler":
        dask.kill_scheduler()
        time.sleep(dice.uniform(0, 2))
        dask.start_scheduler()
        for _ in range(WORKERS):  # the former end with their scheduler
            dask.start_worker()
    else:
        with suppress(StorageError):
            pids = [run.pid for run in service.list() if run.pid is not None]
            if pids:
                with suppress(OSError):
                    os.kill(dice.choice(pids), 9)


def settle(service: JobService, dask: DaskCluster, made: list[str], patience: float = 240) -> None:
    """Wait until all have ended; a run that was given back waits behind the others.

    A worker that starts while the database is away says so and ends: it is started again.
    """
    last: object = None
    moved = time.monotonic()
    while any(service.get(run_id).active for run_id in made):
        now = [(run.status, run.attempts, run.progress) for run in map(service.get, made)]
        if now != last:
            last, moved = now, time.monotonic()
        assert time.monotonic() - moved < patience, f"Nothing moves: {Counter(now)}"
        dask.keep_workers(WORKERS)
        time.sleep(0.5)


def judge(course: Course, service: JobService, run_id: str, peace: object) -> None:
    """See that a run ended once, with the weights of one that nobody disturbed."""
    run = service.get(run_id)
    course.attempts += run.attempts
    if run.status != "done":
        course.wrong.append(f"{run.name}: {run.status}, {run.error}\n{run.trace or ''}")
        return
    course.ended += 1
    epochs = [row.epoch for row in service.metrics(run_id, level="epoch")]
    if epochs != [float(epoch) for epoch in range(1, EPOCHS + 1)]:
        course.wrong.append(f"{run.name}: the history has the epochs {epochs}")
    if service.results(run_id)["weights"] == peace:
        course.equal += 1
    else:
        course.wrong.append(f"{run.name}: other weights after {run.attempts} attempts")


@pytest.mark.sweep
@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_every_run_ends_once_with_the_same_weights(tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    pytest.importorskip("psycopg", reason="needs the extra 'cluster'")
    if postgres_programs() is None:
        pytest.skip("needs PostgreSQL's server programs (Debian: postgresql)")
    course = disturbed(tmp_path, runs=6, kills=3, dice=random.Random(1))
    assert course.wrong == []
    assert course.ended == course.equal == 6


def main(runs: int = 40, kills: int = 30, seed: int = 0) -> None:
    """Print what became of the runs."""
    with tempfile.TemporaryDirectory() as folder:
        course = disturbed(
            Path(folder), runs, kills, random.Random(seed), {**TRAIN, "pause": LONG_PAUSE}
        )
    killed = ", ".join(f"{count} of a {victim}" for victim, count in course.kills.items())
    print(
        f"{runs} runs, kills: {killed}, {course.under_way} of them while runs were under way; "
        f"{course.ended} ended, {course.equal} bit-equal, "
        f"{course.attempts} attempts, {course.seconds:.0f} s"
    )
    print("\n".join(course.wrong))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4]))

"""What it costs to grow: `python -m tests.cluster.growth noop | digits | pulse | database`.

- `noop [RUNS]`: seconds a run that does nothing, on the local pool with SQLite and on Dask with
  PostgreSQL and a store, two workers each; and what such a run leaves in PostgreSQL.
- `digits [RUNS] [WORKERS ...]`: fine-tunings of ResNet-20 on digits, one thread and its own seed
  each, on Dask with PostgreSQL and a store, with 1, 2 and 4 workers; files and bytes that a run
  writes into the store, those of its checkpoints included, and what it adds to the records.
- `pulse [SECONDS]`: transactions a second and connections that a run under way costs PostgreSQL.
- `database [SECONDS]`: looks for orders a second that PostgreSQL answers here (pgbench).

The CPU seconds beside the wall's say how much of the two cores the workers got: other programs may
run at the same time.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from pruneviz.catalog import ModelSource
from pruneviz.jobs import JobService, RunSpec
from tests.cluster.servers import (
    PASSWORD,
    USER,
    Deployment,
    PostgresServer,
    deployed,
    own_postgres,
)

PLUGINS = ("tests.jobs.job_fakes",)
DIGITS = ModelSource("resnet20", "digits").to_dict()
DATA: dict[str, Any] = {"name": "digits", "options": {}}
TUNE = {"epochs": 1, "teacher": False}
LONG = 900.0


@dataclass(frozen=True)
class Cluster(Deployment):
    """A deployment whose database tells how it fares."""

    database: PostgresServer

    def ask(self, query: str) -> tuple[Any, ...]:
        """The first row that PostgreSQL answers, asked in its own database."""
        with psycopg.connect(
            host="127.0.0.1", port=self.database.port, user=USER, password=PASSWORD,
            dbname="postgres", autocommit=True,
        ) as connection:  # fmt: skip
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return tuple(row)

    def transactions(self) -> int:
        """Transactions in the records so far; the server counts a second behind."""
        time.sleep(1.5)
        query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'records'"
        return int(self.ask(query)[0])

    def start_workers(self, count: int) -> None:
        """Have so many workers, each of which has done a run."""
        while len(self.dask.workers) < count:
            self.dask.start_worker()
        self.dask.wait_for(count)
        warm = RunSpec("train", options={"epochs": 1, "pause": 0.2})
        done(self.service, [warm] * count)

    def cpu(self) -> float:
        """CPU seconds of the workers and their children so far."""
        return sum(cpu_of(process.pid) for process in self.dask.workers)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start the servers."""
    with (
        own_postgres() as database,
        deployed(folder, database.make("records"), plugins=PLUGINS) as made,
    ):
        yield Cluster(made.places, made.store, made.dask, made.service, database)


def done(service: JobService, specs: list[RunSpec]) -> float:
    """Seconds from the first submission until all runs are done."""
    begun = time.perf_counter()
    ids = [service.submit(spec) for spec in specs]
    for run_id in ids:
        run = service.wait(run_id, LONG)
        assert run.status == "done", run.error
    return time.perf_counter() - begun


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its children."""
    root = psutil.Process(pid)
    times = [p.cpu_times() for p in (root, *root.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def noop(count: int = 100) -> None:
    """Print what a run costs that does nothing."""
    nothing = [RunSpec("nothing")] * count
    with tempfile.TemporaryDirectory() as home:
        with JobService(home, workers=2, threads=1, plugins=PLUGINS) as service:
            done(service, nothing[:4])
            seconds = done(service, nothing)
        print(f"local pool, SQLite: {count} runs, {seconds:.1f} s, {seconds / count * 1e3:.0f} ms")
        with cluster(Path(home)) as far:
            far.start_workers(2)
            before, size = far.transactions(), far.ask("SELECT pg_database_size('records')")[0]
            seconds = done(far.service, nothing)
            spent = far.transactions() - before
            grown = far.ask("SELECT pg_database_size('records')")[0] - size
        print(
            f"Dask, PostgreSQL, store: {count} runs, {seconds:.1f} s, "
            f"{seconds / count * 1e3:.0f} ms; {spent / count:.0f} transactions and "
            f"{grown / count:,.0f} bytes of records a run"
        )


def digits(count: int = 8, *several: int) -> None:
    """Print how fine-tunings spread over 1, 2 and 4 workers on this machine's cores."""
    rates: list[float] = []

    def tune(many: int) -> list[RunSpec]:
        return [
            RunSpec("fine_tune", DIGITS, DATA, options={**TUNE, "seed": next(seeds)})
            for _ in range(many)
        ]

    seeds = itertools.count()
    with tempfile.TemporaryDirectory() as home, cluster(Path(home)) as far:
        for workers in several or (1, 2, 4):
            far.start_workers(workers)
            done(far.service, tune(workers))  # its imports and caches
            files, size = stored(far.store)
            cpu, begun = far.cpu(), time.perf_counter()
            rows = far.ask("SELECT pg_database_size('records')")[0]
            done(far.service, tune(count))
            seconds, cpu = time.perf_counter() - begun, far.cpu() - cpu
            more, larger = stored(far.store)
            rows = far.ask("SELECT pg_database_size('records')")[0] - rows
            rates.append(count / seconds)
            print(
                f"{workers} workers: {count} runs, {seconds:.1f} s, {rates[-1] / rates[0]:.2f} "
                f"times one worker's, {cpu / count:.1f} CPU s a run, "
                f"{cpu / seconds:.2f} cores used; {(more - files) / count:.1f} files and "
                f"{(larger - size) / count / 2**20:.2f} MiB a run, "
                f"{rows / count / 1024:.1f} KiB of records; load {os.getloadavg()[0]:.1f}"
            )


def stored(folder: Path) -> tuple[int, int]:
    """Files and bytes in a store, those that no run has any more included."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def pulse(seconds: int = 20) -> None:
    """Print what two runs under way cost PostgreSQL, beside what the studio costs alone."""
    with tempfile.TemporaryDirectory() as home, cluster(Path(home)) as far:
        far.start_workers(2)

        def rate() -> tuple[float, int]:
            before, begun = far.transactions(), time.perf_counter()
            time.sleep(seconds)
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'records'"
            connections = int(far.ask(query)[0])
            return (far.transactions() - before) / (time.perf_counter() - begun), connections

        alone, connected = rate()
        long = RunSpec("train", options={"epochs": 10_000, "steps": 20, "pause": 0.05})
        ids = [far.service.submit(long) for _ in range(2)]
        while any(far.service.get(run_id).checkpoints == 0 for run_id in ids):
            time.sleep(0.2)
        busy, more = rate()
        for run_id in ids:
            far.service.cancel(run_id)
            far.service.wait(run_id, LONG)
        print(
            f"a studio alone: {alone:.1f} transactions a second, {connected} connections; a run "
            f"under way: {(busy - alone) / 2:.1f} transactions a second, "
            f"{(more - connected) / 2:.1f} connections"
        )


def database(seconds: int = 20) -> None:
    """Print how many looks for orders PostgreSQL answers here, from 8 connections."""
    with own_postgres() as server, tempfile.TemporaryDirectory() as home:
        address = server.make("records")
        with JobService(home, database=address, plugins=PLUGINS) as service:
            ids = [service.store.create(RunSpec("nothing")).id for _ in range(1000)]
        script = Path(home) / "order.sql"
        script.write_text(
            "\\set n random(0, 9)\n"
            f"SELECT request FROM runs WHERE id = '{ids[0]}' AND claim = 'x:n';\n"
        )
        told = subprocess.run(
            [str(server.programs / "pgbench"), "-n", "-f", str(script), "-c", "8", "-j", "2",
             "-T", str(seconds), "-h", "127.0.0.1", "-p", str(server.port), "-U", USER,
             "records"],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        print(next(line for line in told.splitlines() if line.startswith("tps")))
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    measures = {"noop": noop, "digits": digits, "pulse": pulse, "database": database}
    measures[sys.argv[1]](*(int(word) for word in sys.argv[2:]))

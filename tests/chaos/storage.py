"""A full disk and locked records: runs wait, orders are obeyed, nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from pruneviz.jobs import JobService
from pruneviz.jobs.views import RunView
from tests.chaos import work
from tests.chaos.figures import Tally

SIZE = 140  # MiB of the small disk
PATIENCE = 240.0


def until(service: JobService, run_id: str, condition: object, what: str) -> RunView:
    """Wait for a condition of a run."""
    end = time.monotonic() + PATIENCE
    while True:
        run = service.get(run_id)
        if condition(run):  # type: ignore[operator]
            return run
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {run}")
        time.sleep(0.05)


def locked(home: Path, root: Path, epochs: int, seconds: float) -> Tally:
    """Keep others from writing while a run trains."""
    tally = Tally(tried=1)
    with JobService(home, threads=1) as service:
        run_id = service.submit(work.spec("fine_tune", root, epochs))
        until(service, run_id, lambda run: run.progress > 0, "begins")
        records = service.store.home / "pruneviz.db"
        other = sqlite3.connect(records, timeout=60, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            tally.attempt("list", service.list)
            time.sleep(0.2)
        tally.attempt("rename", lambda: service.rename(run_id, "x"))
        other.execute("ROLLBACK")
        other.close()
        run = until(service, run_id, lambda run: not run.active, "ends")
        tally.ended += run.status == "done"
        if run.status != "done" or run.attempts != 1:
            tally.others.append(f"locked: {run.status} after {run.attempts} attempts: {run.error}")
    return tally


def full(home: Path, root: Path, epochs: int) -> Tally:
    """Fill the disk that holds `home` while a run trains and another waits."""
    tally = Tally(tried=3)
    with JobService(home, threads=1) as service:
        peace = service.wait(service.submit(work.spec("fine_tune", root, epochs)), PATIENCE)
        expected = work.left(service.store, peace.id)
        first = service.submit(work.spec("fine_tune", root, epochs))
        second, third = (service.submit(work.spec("scan", root, epochs)) for _ in range(2))
        until(service, first, lambda run: run.status == "running", "begins")
        filler = home / "filler"
        _fill(filler)
        end = time.monotonic() + PATIENCE
        while service.trouble() is None and time.monotonic() < end:
            time.sleep(0.05)
        said = service.trouble() or ""
        tally.sentences += "free space" in said or "is full" in said
        time.sleep(5)  # the run comes to its next checkpoint and waits, the others are held back
        states = [service.get(i).status for i in (first, second, third)]
        if states[1:] != ["queued", "queued"] or "failed" in states:
            tally.others.append(f"full disk: the queue is {states}")
        if tally.attempt("cancel", lambda: service.cancel(third)) is None:
            tally.others.append("full disk: Cancel does not work")
        tally.attempt("submit", lambda: service.submit(work.spec("scan", root, epochs)))
        filler.unlink()
        for run_id, wanted in ((first, "done"), (second, "done"), (third, "cancelled")):
            run = until(service, run_id, lambda run: not run.active, "goes on")
            tally.ended += run.status == wanted
            if run.status != wanted:
                tally.lost.append(f"full disk: {run.status}, not {wanted}: {run.error}")
        tally.compared += 1
        tally.equal += work.left(service.store, first) == expected
    return tally


def _fill(filler: Path) -> None:
    """Write until there is no space, and then the last bytes."""
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


def on_a_small_disk(arguments: list[str]) -> subprocess.CompletedProcess[str] | None:
    """Call this command again with a small disk of memory as its home; None: not possible here."""
    mount = f'mount -t tmpfs -o size={SIZE}m small "$0" && exec "$@"'
    probe = ["unshare", "-Urm", "sh", "-c"]
    with contextlib.suppress(OSError):
        if subprocess.run([*probe, "mount -t tmpfs x /mnt"], capture_output=True).returncode == 0:
            command = [*probe, mount, *arguments[:1], sys.executable, "-m", "tests.chaos.small"]
            return subprocess.run([*command, *arguments], capture_output=True, text=True)
    return None

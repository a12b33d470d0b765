"""A server without pages: `python -m tests.chaos.server HOME [WORKERS]`; it resumes what stops.

It ends when `HOME/enough` is there, or when it is killed, which is what it is for.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import psutil

from pruneviz.errors import PruneVizError
from pruneviz.jobs import JobService

LOOK = 0.1
STOPPED = ("interrupted", "failed")


def main(home: Path, workers: int) -> None:
    """Serve until it is enough."""
    with JobService(home, workers=workers, threads=1) as service:
        service.recover()
        while not (home / "enough").exists():
            with contextlib.suppress(PruneVizError):
                for run in service.list():
                    if run.status in STOPPED and not run.trace:
                        service.resume(run.id)
            time.sleep(LOOK)


class Server:
    """That server in a process of its own."""

    def __init__(self, home: Path, workers: int = 1) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.server", str(home), str(workers)]
        )

    def kill(self) -> None:
        """End it at once; its workers live on until their run is done."""
        self.process.kill()
        self.process.wait()

    def kill_workers(self) -> int:
        """End the processes that it has started; returns how many."""
        found = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "spawn_main" in " ".join(_command(child))
        ]
        for child in found:
            with contextlib.suppress(psutil.Error):
                child.kill()
        return len(found)

    def end(self) -> None:
        """Let it end in order."""
        (self.home / "enough").touch()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        (self.home / "enough").unlink(missing_ok=True)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)

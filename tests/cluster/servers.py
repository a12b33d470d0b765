"""Servers for the tests, on free ports: PostgreSQL, what speaks S3 or GCS, Dask, studios."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pruneviz.jobs import JobService

PASSWORD = "s3cret+word"
USER = "pruner"
PATIENCE = 120.0
"""Seconds in which a server must have started."""
COMMAND = "import sys; from pruneviz.commands.main import main; sys.exit(main())"
"""The command `pruneviz`, whether or not it is on the path."""
_NOBODY_ELSE = "postgres"  # initdb refuses to be run by root; Debian's package brings this user


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path | None:
    """Where PostgreSQL's server programs are; None: not installed."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """A server of its own folder and port; durable as far as tests need it."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.port = free_port()
        # Not pytest's folder: those are closed to other users, and the server may be one.
        self.folder = Path(tempfile.mkdtemp(prefix="pruneviz-postgres-"))
        self._user = _NOBODY_ELSE if os.geteuid() == 0 else None
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (self.folder, secret):
                shutil.chown(path, self._user)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "--pwfile", str(secret), "--no-sync",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def address(self, name: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-o", options, "-l", log)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    def make(self, name: str) -> str:
        """Make an empty database and return its address."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres",
            autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        return self.address(name)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *words],
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


class S3Server:
    """A server that answers as S3 does (moto's), and an empty bucket on demand."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def make(self, name: str) -> str:
        """Make a bucket and return the address of a store in it; its environment must be set."""
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()  # another test's may lead elsewhere
        s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
        return f"s3://{name}/pruneviz"

    def close(self) -> None:
        self._server.stop()


class GcsServer:
    """A server that answers as Google Cloud Storage does, and an empty bucket on demand."""

    def __init__(self) -> None:
        from gcp_storage_emulator.server import create_server

        port = free_port()
        self._server = create_server("127.0.0.1", port, in_memory=True)
        self._server.start()
        self.environment = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}

    def make(self, name: str) -> str:
        """Make a bucket and return the address of a store in it; its environment must be set."""
        import gcsfs

        gcsfs.GCSFileSystem.clear_instance_cache()  # another test's may lead elsewhere
        gcsfs.GCSFileSystem(project="test", use_listings_cache=False).mkdir(name)
        return f"gs://{name}/pruneviz"

    def close(self) -> None:
        self._server.stop()


class DaskCluster:
    """A scheduler and workers as commands of their own, as on several machines."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.environment = {
            **_of_a_command(environment),
            "PRUNEVIZ_SCHEDULER": self.address,
            "OMP_NUM_THREADS": "1",
        }
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        words = ("-m", "distributed.cli.dask_scheduler", "--no-dashboard", "--no-show")
        self.scheduler = self._start(*words, "--host", "127.0.0.1", "--port", str(self.port))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the scheduler does not start")

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def start_worker(self) -> None:
        """Start a worker with a home of its own: it shares nothing with the others."""
        home = str(self.folder / f"worker-{len(self.workers)}")
        self.workers.append(self._start("-c", COMMAND, "worker", "--home", home))

    def keep_workers(self, count: int) -> None:
        """Start workers in place of those that have ended, as a service manager would."""
        lacking = count - sum(worker.poll() is None for worker in self.workers)
        for _ in range(lacking):
            self.start_worker()

    def wait_for(self, count: int) -> None:
        """Wait until the scheduler knows so many workers."""
        from distributed import Client

        deadline = time.monotonic() + PATIENCE
        with Client(self.address, set_as_default=False) as client:
            while len(client.scheduler_info(n_workers=-1)["workers"]) < count:
                assert time.monotonic() < deadline, "the workers do not start"
                time.sleep(0.2)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process is None:
                continue
            family = [process.pid]
            with contextlib.suppress(psutil.Error):
                family += [c.pid for c in psutil.Process(process.pid).children(recursive=True)]
            for pid in family:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


@dataclass(frozen=True)
class Deployment:
    """PostgreSQL, a store in a folder, a Dask scheduler, and a service that uses them."""

    places: dict[str, str]
    """What leads there, as variables."""
    store: Path
    dask: DaskCluster
    service: JobService


@contextmanager
def deployed(
    folder: Path,
    database: str,
    *,
    workers: int = 0,
    environment: dict[str, str] | None = None,
    **service: Any,
) -> Iterator[Deployment]:
    """Start all but the database, with so many workers.

    `environment` is the scheduler's and the workers', besides the places; `service` are options of
    the `JobService`, by default with one thread a run.
    """
    store = folder / "store"
    places = {"PRUNEVIZ_DATABASE": database, "PRUNEVIZ_STORE": store.as_uri()}
    with ExitStack() as ending:
        dask = DaskCluster(folder / "dask", {**places, **(environment or {})})
        ending.callback(dask.close)
        for _ in range(workers):
            dask.start_worker()
        made = JobService(
            folder / "studio",
            database=database,
            artifacts=places["PRUNEVIZ_STORE"],
            scheduler=dask.address,
            **{"threads": 1, **service},
        )
        yield Deployment(places, store, dask, ending.enter_context(made))


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A server for whoever kills it, or runs without pytest's fixtures."""
    programs = postgres_programs()
    assert programs is not None, "needs PostgreSQL's server programs"
    server = PostgresServer(programs)
    try:
        yield server
    finally:
        server.close()


class Studio:
    """A studio in a process of its own; what it prints is dropped, unless a pipe is given."""

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        *options: str,
        output: int = subprocess.DEVNULL,
    ) -> None:
        self.home = home
        self.port = free_port()
        words = ("--headless", "--port", str(self.port), "--home", str(home), *options)
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words],
            env=_of_a_command(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> None:
        """Wait until it is ready."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the studio has ended"
            address = f"http://127.0.0.1:{self.port}/readyz"
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError("the studio does not start")

    def memory(self) -> float:
        """Resident bytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def _of_a_command(environment: dict[str, str]) -> dict[str, str]:
    """This process's environment and this one, in which the checkout is imported."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, **environment, "PYTHONPATH": path}

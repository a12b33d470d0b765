"""What every test shares: quiet torch, caches of its own, and the material beside the project."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.cluster.servers import GcsServer, PostgresServer, S3Server

SLOWER = (
    *("browser", "ui", "jobs", "cluster", "commands", "notebook"),
    *("training", "strategies", "studies", "recipe", "report"),
    *("test_reference.py", "test_layers.py", "test_models.py", "test_bundled.py"),
    *("test_families.py", "test_stray_calls.py", "downloads", "benchmarks"),
)
"""Folders and files whose tests need a page, a browser, a server or a process of their own, train,
read all of the code, or build every network there is.
"""

settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")  # a busy machine is no failure


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the inner loop, before `-m` chooses."""
    longer = {"slow", "sweep", "browser", "fuzz", "chaos"}
    here = Path(__file__).parent
    for item in items:
        slower = not set(SLOWER).isdisjoint(item.path.relative_to(here).parts)
        if not slower and not longer & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors on few cores: one thread is quicker, and results do not depend on a count."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go to a temporary folder, not to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNEVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights beside the checkout; skips where there is none."""
    named = os.environ.get("PRUNEVIZ_SHARED")
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(named) if named else beside
    if not (folder / "torch").is_dir():
        pytest.skip(f"needs real data and weights in {folder} (or PRUNEVIZ_SHARED)")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; skips where it, or its driver, is not installed."""
    pytest.importorskip("psycopg", reason="needs the extra 'cluster'")
    from tests.cluster.servers import PostgresServer, postgres_programs

    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server programs (Debian: postgresql)")
    server = PostgresServer(programs)
    yield server
    server.close()


@pytest.fixture
def new_database(postgres: PostgresServer) -> str:
    """The address of an empty PostgreSQL database."""
    return postgres.make(f"test_{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server that answers as S3 does; skips where it is not installed."""
    pytest.importorskip("s3fs", reason="needs the extra 'cluster'")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    from tests.cluster.servers import S3Server

    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def new_bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store in a bucket; what leads there is in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.make(f"test-{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    """A server that answers as Google Cloud Storage does; skips where it is not installed."""
    pytest.importorskip("gcsfs", reason="needs the extra 'gcs'")
    pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")
    from tests.cluster.servers import GcsServer

    server = GcsServer()
    yield server
    server.close()


@pytest.fixture
def new_gs_bucket(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store in a bucket of that server."""
    for name, value in gcs.environment.items():
        monkeypatch.setenv(name, value)
    return gcs.make(f"test-{uuid.uuid4().hex}")

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pruneviz.jobs import JobService, RunSpec, RunStore
from pruneviz.jobs.views import RunView
from tests.threads import end, worker_threads

PLUGINS = ("tests.jobs.job_fakes",)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path)
    yield made
    made.close()


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[JobService]:
    """A service whose runs are done by a thread: any Executor will do."""
    with worker_threads() as executor:
        service = JobService(tmp_path, executor=executor, plugins=PLUGINS)
        yield service
        end(service)
    service.close()


@pytest.fixture
def spec() -> Callable[..., RunSpec]:
    def make(kind: str = "count", *, name: str = "", **options: Any) -> RunSpec:
        return RunSpec(kind, name=name, options=options)

    return make


@pytest.fixture
def until() -> Callable[..., RunView]:
    """Wait until a run satisfies a condition."""

    def wait(service: Any, run_id: str, condition: Any, timeout: float = 120.0) -> RunView:
        end = time.monotonic() + timeout
        while True:
            run = service.get(run_id)
            if condition(run):
                return run
            assert time.monotonic() < end, f"still {run}"
            time.sleep(0.02)

    return wait

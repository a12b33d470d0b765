"""Threads that do a service's runs, and never hold up the end of the tests."""

from __future__ import annotations

import faulthandler
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from pruneviz.jobs import JobService

PATIENCE = 120.0
"""Seconds that runs have to end once they are cancelled."""


@contextmanager
def worker_threads(count: int = 1) -> Iterator[ThreadPoolExecutor]:
    """Threads; at the end they are waited for, but not for ever.

    `with ThreadPoolExecutor()` waits without end, also after a test that took too long was told so:
    one run that does not stop holds up all tests that follow.
    """
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        end = time.monotonic() + PATIENCE
        for thread in executor._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in executor._threads):
            faulthandler.dump_traceback(sys.__stderr__)
            pytest.fail(f"A run has not ended {PATIENCE:.0f} s after it was cancelled.")


def end(service: JobService) -> None:
    """Cancel what a test has left under way; the service is closed once its threads have ended."""
    for run in service.list():
        service.cancel(run.id)

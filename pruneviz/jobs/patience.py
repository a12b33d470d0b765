"""Waiting while the storage refuses: a full disk, locked records, a folder moved away, a database
that restarts.

When the disk is full, a run has hours of work in memory. It keeps that, tries again every second,
and still obeys orders; it continues by itself once it can.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pruneviz.errors import (
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageGoneError,
    StorageUnreachableError,
)

T = TypeVar("T")
PASSING: tuple[type[StorageError], ...] = (
    StorageFullError,
    StorageBusyError,
    StorageGoneError,
    StorageUnreachableError,
)
AGAIN = 1.0  # seconds between two tries
LOOK = 0.1  # seconds between two looks for orders


def patiently(action: Callable[[], T], meanwhile: Callable[[], None]) -> T:
    """Call `action` until the storage accepts it, and return its result.

    `meanwhile` is called while waiting; what it raises ends the waiting.

    Raises:
        StorageError: one that does not pass by itself.
    """
    while True:
        try:
            return action()
        except PASSING:
            end = time.monotonic() + AGAIN
            while time.monotonic() < end:
                meanwhile()
                time.sleep(LOOK)

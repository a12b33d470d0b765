"""The loaded subjects that all who share a server work on: as many as fit in memory."""

from __future__ import annotations

from collections.abc import Callable

from pruneviz.session.byte_cache import ByteCache
from pruneviz.session.decisions import Subject
from pruneviz.session.rankings import Stored
from pruneviz.session.sizes import bytes_of
from pruneviz.session.workbench import Progress, Workbench

MODEL_BYTES = 1 << 30
"""What the networks may take together; data sets are mapped from files, or small."""


class Workbenches:
    """Loads each subject once; the one that was used least recently goes first, with its caches.

    Args:
        limit: Bytes that the networks' weights may take together.
        stored: Where a workbench finds the rankings that runs have computed.
    """

    def __init__(
        self,
        limit: int = MODEL_BYTES,
        stored: Callable[[Workbench], Stored] | None = None,
    ) -> None:
        self._stored = stored
        self._loaded: ByteCache[Subject, Workbench] = ByteCache(
            limit, lambda workbench: bytes_of(workbench.model)
        )

    def __contains__(self, subject: object) -> bool:
        return subject in self._loaded

    def get(self, subject: Subject, progress: Progress | None = None) -> Workbench:
        """Return the loaded subject; the first time this takes seconds, and reports downloads."""
        return self._loaded.compute(
            subject, lambda: Workbench.load(subject, progress, self._stored)
        )

    def put(self, workbench: Workbench) -> None:
        """Add one that was loaded elsewhere, as in a notebook."""
        self._loaded.put(workbench.subject, workbench)

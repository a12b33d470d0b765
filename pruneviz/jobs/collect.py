"""Tidying up the artifact store: files that no run and no upload has any more are deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.schema import Artifact, Upload

if TYPE_CHECKING:
    from pruneviz.jobs.records import RunStore

BATCH = 200  # files looked up, and deleted, while nobody else can name new ones
GRACE_SECONDS = 3600.0


@dataclass(frozen=True)
class Collected:
    """What tidying up has freed, or would free."""

    files: int
    size: int
    """Bytes."""
    kept_files: int
    kept_size: int


def collect(
    store: RunStore, *, older_than: float = GRACE_SECONDS, dry_run: bool = False
) -> Collected:
    """Delete what no run or upload has in the store, if it is over `older_than` seconds old.

    Safe while workers write: whoever adds a file to the records checks under the same lock that it
    is there.

    Raises:
        InvalidValueError: the records have no store.
        StorageError: the store or the records do not answer.
    """
    artifacts = store.files.artifacts
    if artifacts is None:
        raise InvalidValueError(
            "Only a file store can be cleaned up, and none is set; name it with --store or "
            "$PRUNEVIZ_STORE. Without a store, a run's files are deleted with the run."
        )
    files = size = kept_files = kept_size = 0
    youngest = time.time() - older_than
    blobs = list(artifacts.blobs())
    for begin in range(0, len(blobs), BATCH):
        batch = blobs[begin : begin + BATCH]
        with store.transaction() as session:
            store.database.hold_artifacts(session, alone=True)
            digests = [blob.digest for blob in batch]
            named = {
                digest
                for column in (Artifact.digest, Upload.digest)
                for digest in session.scalars(select(column).where(column.in_(digests)))
            }
            for blob in batch:
                if blob.digest in named or blob.modified > youngest:
                    kept_files, kept_size = kept_files + 1, kept_size + blob.size
                    continue
                files, size = files + 1, size + blob.size
                if not dry_run:
                    artifacts.remove(blob.digest)
    return Collected(files, size, kept_files, kept_size)

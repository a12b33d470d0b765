"""Files that are complete at every moment, whoever writes them and whatever crashes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pruneviz.errors import StorageGoneError
from pruneviz.jobs.home import disk_errors

DRAFTS = ".*.tmp"
"""Pattern of the drafts that a killed process may leave behind."""


def atomic_write(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path`, which at every moment holds either all of it or what it held
    before.

    Any number of threads and processes may write the same path: each writes its own draft, and the
    last one to finish wins.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".tmp", f".{path.name[:80]}.", path.parent)
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except FileNotFoundError as error:  # the folder went while this was written
            raise StorageGoneError(
                f"'{path.parent}' was deleted or replaced while '{path.name}' was written."
            ) from error
        finally:
            draft.unlink(missing_ok=True)
        _sync_folder(path.parent)


def size_of(folder: Path) -> int:
    """Return how many bytes the files under a folder take; 0 if there is no such folder."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except OSError:
                continue
    return total


def _sync_folder(folder: Path) -> None:
    """Flush the new name to disk, where folders can be opened (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)

"""Files that are complete at every moment, whoever writes them and whatever crashes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pruneviz.errors import StorageGoneError
from pruneviz.jobs.home import disk_errors

DRAFTS = ".*.tmp"
"""Pattern of the drafts that a killed process may leave behind."""


def make_below(home: Path, folder: Path) -> None:
    """Make a folder below `home`, but never `home` itself: without it nothing would be kept.

    To look first would not do: `home` may be deleted between the look and the making.

    Raises:
        StorageGoneError: there is no `home` any more.
        StorageError: the disk is full or cannot be written.
    """
    part = home
    with disk_errors(folder):
        for name in folder.relative_to(home).parts:
            part = part / name
            try:
                part.mkdir(exist_ok=True)
            except FileNotFoundError as error:
                raise StorageGoneError(f"'{part.parent}' was deleted or replaced.") from error


def atomic_write(path: Path, content: bytes | memoryview, *, below: Path | None = None) -> None:
    """Write `content` to `path`, which at every moment holds either all of it or what it held
    before.

    Any number of threads and processes may write the same path: each writes its own draft, and the
    last one to finish wins. Missing folders are made, but with `below` only those below that one.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    if below is not None:
        make_below(below, path.parent)
    with disk_errors(path):
        if below is None:
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

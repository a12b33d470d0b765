"""Where downloads and decoded images are kept, and how much of it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import platformdirs

from pruneviz.errors import DataError, StorageError

LIMIT_BYTES = 10 * 2**30
SPARE_BYTES = 256 * 2**20
"""Left free on the disk for everyone else."""


def cache_dir() -> Path:
    """`$PRUNEVIZ_CACHE`, or the platform's cache folder for the user."""
    named = os.environ.get("PRUNEVIZ_CACHE")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("pruneviz"))


def make(folder: Path) -> Path:
    """The folder, created if it is missing. Raises `StorageError` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, PermissionError("no permission to write"))
    return folder


def make_room(folder: Path, needed: int, limit: int) -> None:
    """Delete the least recently used files until `needed` more bytes fit within `limit`.

    Raises `DataError` if these bytes alone exceed the limit, `StorageError` if the disk lacks room.
    """
    if needed > limit:
        raise DataError(
            f"The decoded images take {_gb(needed)}, more than the {_gb(limit)} that are kept; "
            "load fewer with limit=, smaller ones with size=, or raise cache_bytes=."
        )
    kept = sorted(folder.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = needed
    for path in kept:
        total += path.stat().st_size
        if total > limit:
            for part in (path, path.with_suffix(".json")):
                with contextlib.suppress(OSError):  # in use, or gone already
                    part.unlink()
    for seen in folder.glob("*.seen"):  # which files had the content of images that are gone
        with contextlib.suppress(OSError, ValueError):
            if not (folder / f"{seen.read_text(encoding='ascii')}.npy").exists():
                seen.unlink()
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise StorageError(
            f"The decoded images need {_gb(needed + SPARE_BYTES)} in {folder}, where {_gb(free)} "
            "are free; load fewer with limit=, or set PRUNEVIZ_CACHE to a folder with more room."
        )


def touch(path: Path) -> None:
    """Note that a file was used now."""
    with contextlib.suppress(OSError):
        path.touch()


def _unwritable(folder: Path, error: OSError) -> StorageError:
    why = error.strerror or error
    return StorageError(
        f"The folder {folder} for decoded images and downloads cannot be written ({why}); "
        "set PRUNEVIZ_CACHE to one that can."
    )


def _gb(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"

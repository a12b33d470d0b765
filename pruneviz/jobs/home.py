"""The folder that holds records and results: where it is, and whether it can be used."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_data_dir

from pruneviz.errors import StorageError

VARIABLE = "PRUNEVIZ_HOME"
MINIMUM_FREE = 64 * 2**20  # bytes: room for the database and the checkpoints of a small network
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REMEDY = f"Choose another folder with --home or ${VARIABLE}."


def resolve_home(option: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for records and results, created and known to be writable.

    The first of these that is set: `option`, `$PRUNEVIZ_HOME`, the platform's data folder.

    Raises:
        StorageError: it cannot be created or written, or its disk has under 64 MiB left.
    """
    chosen = os.fspath(option) if option is not None else os.environ.get(VARIABLE, "")
    home = Path(chosen or user_data_dir("pruneviz", appauthor=False)).expanduser().absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"pruneviz")
    except OSError as error:
        raise StorageError(_sentence(home, error)) from error
    free = shutil.disk_usage(home).free
    if free < MINIMUM_FREE:
        raise StorageError(
            f"The folder for records and results needs {_mib(MINIMUM_FREE)} of free space; "
            f"'{home}' has {_mib(free)}. Free some space, or choose another folder with --home "
            f"or ${VARIABLE}."
        )
    return home


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` while `path` is written into a `StorageError` with the remedy."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(_sentence(path, error)) from error


def full_sentence(path: Path) -> str:
    """Say that the disk under `path` is full, how much is free, and what to do."""
    try:
        free = _mib(shutil.disk_usage(path if path.is_dir() else path.parent).free)
    except OSError:
        free = "nothing"
    return (
        f"The disk that holds '{path}' is full ({free} free). Free some space and resume the run, "
        "or start PruneViz with --home on another disk."
    )


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return full_sentence(path)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"Records and results need a folder; '{path}' is, or lies under, a file. {_REMEDY}"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"Records and results need a folder that can be written; '{path}' cannot. {_REMEDY}"
    reason = error.strerror or type(error).__name__
    return f"Records and results cannot be kept in '{path}': {reason}. {_REMEDY}"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"

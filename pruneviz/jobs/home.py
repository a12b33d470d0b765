"""The folder that holds records and results: where it is, and whether it can be used."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_data_dir

from pruneviz.errors import StorageError, StorageFullError

VARIABLE = "PRUNEVIZ_HOME"
MINIMUM_FREE = 64 * 2**20  # bytes: room for the database and the checkpoints of a small network
DATABASE = "pruneviz.db"
RESERVE = ".reserve"
RESERVE_BYTES = 2**20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REMEDY = f"Choose another folder with --home or ${VARIABLE}."


def resolve_home(option: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for records and results, created if need be and checked to be writable.

    The first of these that is set: `option`, `$PRUNEVIZ_HOME`, the platform's data folder.

    Raises:
        StorageError: it cannot be created or written, or its disk has under 64 MiB left.
    """
    chosen = os.fspath(option) if option is not None else os.environ.get(VARIABLE, "")
    home = Path(chosen or user_data_dir("pruneviz", appauthor=False)).expanduser().absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_private(home)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"pruneviz")
    except OSError as error:
        raise _error(home, error) from error
    check_space(home)
    return home


def _keep_private(home: Path) -> None:
    """Keep others on this machine from reading the records: 0700, and 0600 for the files.

    An existing folder with other things in it keeps its permissions; what PruneViz writes there can
    still be read by its owner only.
    """
    names = {path.name for path in home.iterdir()}
    if not names or home == Path(user_data_dir("pruneviz", appauthor=False)):
        home.chmod(0o700)
    for name in names & {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", RESERVE}:
        with suppress(OSError):  # another process tidied up, or it is another person's
            (home / name).chmod(0o600)


def check_space(home: Path) -> None:
    """Check that there is room for a run.

    Raises:
        StorageFullError: the disk has under 64 MiB left.
        StorageError: the folder cannot be looked at.
    """
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise _error(home, error) from error
    if free < MINIMUM_FREE:
        raise StorageFullError(
            f"The folder for records and results needs {_mib(MINIMUM_FREE)} of free space; "
            f"'{home}' has {_mib(free)}. Free some space, or choose another folder with --home "
            f"or ${VARIABLE}."
        )


def reserve(home: Path) -> None:
    """Set a little space aside, so that a person's orders can be recorded on a full disk."""
    kept = home / RESERVE
    try:
        if not kept.exists() and shutil.disk_usage(home).free >= MINIMUM_FREE:
            kept.touch(0o600)
            kept.write_bytes(os.urandom(RESERVE_BYTES))  # no holes, nothing to compress
    except OSError:
        kept.unlink(missing_ok=True)


def release(home: Path) -> None:
    """Free what `reserve` has set aside."""
    with suppress(OSError):
        (home / RESERVE).unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` while `path` is written into a `StorageError` with the remedy."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise _error(path, error) from error


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


def _error(path: Path, error: OSError) -> StorageError:
    if error.errno in _FULL:
        return StorageFullError(full_sentence(path))
    return StorageError(_sentence(path, error))


def _sentence(path: Path, error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"Records and results need a folder; '{path}' is, or lies under, a file. {_REMEDY}"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"Records and results need a folder that can be written; '{path}' cannot. {_REMEDY}"
    reason = error.strerror or type(error).__name__
    return f"Records and results cannot be kept in '{path}': {reason}. {_REMEDY}"


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"

"""The records in a file in the home folder, opened safely by many processes at once."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from pruneviz.errors import StorageBusyError, StorageError, StorageFullError, StorageGoneError
from pruneviz.jobs.database import Database, create_or_upgrade
from pruneviz.jobs.home import disk_errors, full_sentence
from pruneviz.jobs.migrations import FORMAT, format_of

BUSY_SECONDS = 5.0
"""How long a change waits for others; workers try again, and pages say it."""
READ_SECONDS = 1.0
"""How long a read waits: only a program that locks the records for itself makes it wait."""

GONE = (
    "The folder '{home}' with records and results was deleted or replaced while PruneViz was "
    "running. Put it back, or save the state in memory as new records."
)


class Sqlite(Database):
    """The records in one file.

    Raises:
        StorageError: not a database, written by a newer PruneViz, read-only, or the disk is full.
        StorageGoneError: there is no such file, and none is to be made.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.place = str(path)
        self.engine = _open(path, create=create)
        self.writer = _writing(self.engine)
        self._mark = _mark(path)
        with self.errors(), self.engine.connect() as connection:
            self.stamp = _stamp_of(connection)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the database's own errors into a `StorageError` with one sentence."""
        with _errors(self.path):
            yield

    def hold(self, session: Session, run_id: str) -> None:
        """Do nothing: only one transaction at a time writes."""

    def hold_artifacts(self, session: Session, *, alone: bool = False) -> None:
        """Do nothing: only one transaction at a time writes."""

    def hold_names(self, session: Session) -> None:
        """Do nothing: only one transaction at a time writes."""

    def check_there(self) -> None:
        """See whether the file at the path is still the one that was opened, or a copy of it.

        Raises:
            StorageGoneError: it is not.
        """
        if self._mark == (mark := _mark(self.path)):
            return
        if mark is not None:
            with contextlib.suppress(StorageError):
                engine = _open(self.path, create=False)
                with engine.connect() as connection:
                    same = _stamp_of(connection) == self.stamp
                if same:
                    former, self.engine, self._mark = self.engine, engine, mark
                    self.writer = _writing(engine)
                    former.dispose()
                    return
                engine.dispose()
        raise StorageGoneError(GONE.format(home=self.path.parent))

    def rescue(self) -> None:
        """Restore deleted records from the file that is still open.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """
        if self.path.exists():
            self.check_there()
            return
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
        with disk_errors(self.path), self.errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(draft)) as copy, self.engine.connect() as now:
                opened = now.connection.driver_connection
                assert isinstance(opened, sqlite3.Connection)
                opened.backup(copy)
            draft.replace(self.path)
        self.check_there()


def _open(path: Path, *, create: bool) -> Engine:
    """Open the file; one of the current format is only read here, so opening waits for nobody.

    Later connections never create a file: if the folder was deleted meanwhile, they fail.
    """
    modes = ["rw", "rwc"] if create else ["rw"]
    address = path.absolute().as_uri()

    def connect() -> sqlite3.Connection:
        mode = modes.pop() if len(modes) > 1 else modes[0]
        if mode == "rwc":
            with suppress(OSError):  # SQLite says what is wrong
                path.touch(0o600)  # for its owner alone, and so all that SQLite puts beside it
        return sqlite3.connect(f"{address}?mode={mode}", uri=True, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    with _errors(path):
        with engine.connect() as connection:
            number = format_of(connection)
        if number < FORMAT:
            with _writing(engine).begin() as connection:
                create_or_upgrade(connection)
                if not _stamp_of(connection):
                    stamp = secrets.randbelow(2**31 - 1) + 1
                    connection.exec_driver_sql(f"PRAGMA application_id = {stamp}")
    if number > FORMAT:
        engine.dispose()
        raise StorageError(
            f"The records in '{path}' were written by a newer PruneViz (format {number}; this one "
            f"reads up to {FORMAT}). Update PruneViz, or choose another folder with --home."
        )
    return engine


def _stamp_of(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())


def _writing(engine: Engine) -> Engine:
    """Return `engine` for transactions that write: they take the lock when they begin.

    A transaction that began by reading cannot wait in SQLite when it turns to writing while another
    writes: it fails at once. One that begins as a writer waits its turn.
    """
    return engine.execution_options(immediate=True)


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from another of that name; None: there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not by the driver
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(READ_SECONDS * 1000)}")
    cursor.execute("PRAGMA foreign_keys = ON")
    for attempt in range(100):  # the change to WAL does not honour the busy timeout
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except Exception as error:
            if "locked" not in str(error) or attempt == 99:
                raise
            time.sleep(0.05)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    patience = BUSY_SECONDS if immediate else READ_SECONDS
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience * 1000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _error(path, str(error.orig)) from error


def _error(path: Path, reason: str) -> StorageError:
    if "full" in reason:
        return StorageFullError(full_sentence(path))
    if "locked" in reason:
        return StorageBusyError(
            f"The records in '{path}' are locked by another program. Close it; until then the "
            "pages show the last known state."
        )
    if "not a database" in reason or "malformed" in reason:
        return StorageError(
            f"The records in '{path}' are damaged ({reason}). Move that file away to start with "
            "empty records, or choose another folder with --home."
        )
    if not path.exists():
        return StorageGoneError(GONE.format(home=path.parent))
    if "readonly" in reason or "unable to open" in reason:
        return StorageError(
            f"The records in '{path}' cannot be written ({reason}). Make the file and its folder "
            "writable, or choose another folder with --home."
        )
    return StorageError(f"The records in '{path}' cannot be used: {reason}.")

"""The database of records: its tables, and opening it safely from many processes at once."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, ForeignKey, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import QueuePool

from pruneviz.errors import StorageBusyError, StorageError, StorageFullError, StorageGoneError
from pruneviz.jobs.home import full_sentence
from pruneviz.jobs.json_column import Json
from pruneviz.jobs.migrations import FORMAT, format_of, set_format, upgrade

BUSY_SECONDS = 5.0
"""How long a change waits for others; workers try again, and pages say it."""
READ_SECONDS = 1.0
"""How long a look waits: only a program that wants the records for itself keeps it waiting."""

GONE = (
    "The folder '{home}' with records and results was deleted or replaced while PruneViz was "
    "running. Put it back, or have what is in memory saved anew."
)


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {dict[str, Any]: Json}  # noqa: RUF012 (SQLAlchemy reads it so)


class Run(Base):
    """One background run; `claim` names the worker that may write it."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    request: Mapped[str | None]
    created: Mapped[float]
    queued: Mapped[float]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    spec: Mapped[dict[str, Any]]
    progress: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
    trace: Mapped[str | None]
    heartbeat: Mapped[float | None]
    pid: Mapped[int | None]
    process: Mapped[str | None]
    host: Mapped[str | None]
    claim: Mapped[str | None]
    submitter: Mapped[str | None]
    parent: Mapped[str | None] = mapped_column(index=True)
    owner: Mapped[str | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    checkpoints: Mapped[int] = mapped_column(default=0)
    threads: Mapped[int | None]
    worked: Mapped[float | None]


class Metric(Base):
    """One row of a run's history; ids only grow, so that readers can ask for what is new."""

    __tablename__ = "metrics"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    level: Mapped[str]
    time: Mapped[float]
    epoch: Mapped[float | None]
    step: Mapped[int | None]
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    val_loss: Mapped[float | None]
    macs: Mapped[int | None]
    params: Mapped[int | None]
    units_left: Mapped[int | None]
    seconds: Mapped[float | None]
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Result(Base):
    """One named part of what a run found; large arrays lie as files in the run's folder."""

    __tablename__ = "results"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[Any] = mapped_column(Json)
    updated: Mapped[float]


def open_database(path: Path, *, create: bool = True) -> Engine:
    """Open the records at `path`: tables are made in a new file, those of an older format led on.

    A file of this format is only read here, so that opening waits for nobody. Later connections
    never make a file: where the folder was deleted meanwhile, they fail.

    Raises:
        StorageError: not a database, written by a newer PruneViz, read-only, or the disk is full.
        StorageGoneError: there is no such file, and none is to be made.
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
    with storage_errors(path):
        with engine.connect() as connection:
            found = format_of(connection)
        if found < FORMAT:
            with writing(engine).begin() as connection:
                found = format_of(connection)  # again: another process may have been quicker
                if found == 0:
                    Base.metadata.create_all(connection)
                    set_format(connection, FORMAT)
                elif found < FORMAT:
                    upgrade(connection, found)
                if not stamp_of(connection):
                    stamp = secrets.randbelow(2**31 - 1) + 1
                    connection.exec_driver_sql(f"PRAGMA application_id = {stamp}")
    if found > FORMAT:
        engine.dispose()
        raise StorageError(
            f"The records in '{path}' were written by a newer PruneViz (format {found}; this one "
            f"reads up to {FORMAT}). Update PruneViz, or choose another folder with --home."
        )
    return engine


def stamp_of(connection: Connection) -> int:
    """Return the number that tells these records, and copies of them, from all others."""
    return int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())


def writing(engine: Engine) -> Engine:
    """Return `engine` for transactions that write: they take the lock at their beginning.

    SQLite cannot wait when a transaction that began by reading turns to writing while another
    writes; it fails at once. One that begins as a writer waits its turn.
    """
    return engine.execution_options(immediate=True)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the database's own errors into a `StorageError` with one sentence."""
    try:
        yield
    except DBAPIError as error:
        raise _error(path, str(error.orig)) from error


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


def _error(path: Path, reason: str) -> StorageError:
    if "full" in reason:
        return StorageFullError(full_sentence(path))
    if "locked" in reason:
        return StorageBusyError(
            f"The records in '{path}' are locked by another program. Close it; until then the "
            "pages show what was last known."
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

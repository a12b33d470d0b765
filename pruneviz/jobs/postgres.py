"""The records in a PostgreSQL database, for several studios and workers on several machines."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from sqlalchemy import URL, create_engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from pruneviz.errors import (
    MissingExtraError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageUnreachableError,
)
from pruneviz.jobs.database import Database, create_or_upgrade
from pruneviz.jobs.migrations import FORMAT, TABLE, format_of
from pruneviz.jobs.schema import Run

BUSY_SECONDS = 5
"""How long a change waits for others; workers try again, and pages say it."""
CONNECT_SECONDS = 5
NAMES, TABLES, ARTIFACTS = 0x9413_7001, 0x9413_7002, 0x9413_7003
"""Advisory locks: while a run is named, tables are made, files of the store named or deleted."""

SIGN_IN = ("28000", "28P01")
BUSY = ("40001", "40P01", "55P03", "53300")  # conflict, deadlock, lock timeout, connections
FULL = ("53100",)
LEAVING = ("57P01", "57P02", "57P03")  # shut down, crashed, starting up
NO_DATABASE = "3D000"


class Postgres(Database):
    """The records at the address of a PostgreSQL database.

    Raises:
        StorageUnreachableError: the server does not answer.
        StorageError: it refuses, or a newer PruneViz wrote the records.
        MissingExtraError: the driver is not installed.
    """

    def __init__(self, url: URL) -> None:
        if find_spec("psycopg") is None:
            raise MissingExtraError("A PostgreSQL database", "psycopg", "cluster")
        self.address = url.render_as_string(hide_password=False)
        self.place = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self._user = url.username or ""
        self._secrets = [str(url.password)] if url.password else []
        given: dict[str, object] = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "pruneviz",
            "options": f"-c lock_timeout={BUSY_SECONDS * 1000}",
            "tcp_user_timeout": 10_000,  # ms: a machine that is gone says nothing
        }
        asked = {name: value for name, value in given.items() if name not in url.query}
        self.writer = create_engine(
            url,
            connect_args=asked,
            pool_pre_ping=True,  # a restart of the server is nobody's error
            pool_timeout=BUSY_SECONDS,
            hide_parameters=True,
        )
        self.engine = self.writer.execution_options(isolation_level="AUTOCOMMIT")
        try:
            self._open()
        except BaseException:
            self.writer.dispose()
            raise

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the database's own errors into a `StorageError` with one sentence."""
        try:
            yield
        except PoolTimeoutError as error:
            raise StorageBusyError(
                f"The database at {self.place} is busy: all connections of this process are in "
                "use. Until one is free, the pages show the last known state."
            ) from error
        except DBAPIError as error:
            raise self._error(error) from error

    def check_there(self) -> None:
        """Do nothing: a database that goes away refuses what is written."""

    def rescue(self) -> None:
        """Do nothing: there is no folder that could have been deleted."""

    def hold(self, session: Session, run_id: str) -> None:
        """Keep others from changing a run until the transaction ends."""
        session.execute(select(Run.id).where(Run.id == run_id).with_for_update())

    def hold_artifacts(self, session: Session, *, alone: bool = False) -> None:
        """Keep others from deleting files in the store; with `alone`, from recording them, too."""
        lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
        session.execute(select(lock(ARTIFACTS)))

    def hold_names(self, session: Session) -> None:
        """Keep others from naming runs until the transaction ends."""
        session.execute(select(func.pg_advisory_xact_lock(NAMES)))

    def _open(self) -> None:
        with self.errors():
            with self.engine.connect() as connection:
                number = format_of(connection)
            if number < FORMAT:
                with self.writer.begin() as connection:
                    connection.execute(select(func.pg_advisory_xact_lock(TABLES)))
                    create_or_upgrade(connection)
                    stamp = secrets.randbelow(2**31 - 1) + 1
                    fresh = f"UPDATE {TABLE} SET stamp = {stamp} WHERE stamp = 0"
                    connection.exec_driver_sql(fresh)
            elif number > FORMAT:
                raise StorageError(
                    f"The records at {self.place} were written by a newer PruneViz (format "
                    f"{number}; this one reads up to {FORMAT}). Update PruneViz, or choose another "
                    "database with --database."
                )
            with self.engine.connect() as connection:
                query = f"SELECT stamp FROM {TABLE}"
                self.stamp = int(connection.exec_driver_sql(query).scalar_one())

    def _error(self, error: DBAPIError) -> StorageError:
        code = getattr(error.orig, "sqlstate", None) or ""
        reason = self._reason(error)
        if code in SIGN_IN or "authentication failed" in reason or "no password" in reason:
            return StorageError(
                f"The database at {self.place} did not accept the user '{self._user}' with this "
                "password. Correct --database or $PRUNEVIZ_DATABASE."
            )
        if code == NO_DATABASE or ("database" in reason and "does not exist" in reason):
            return StorageError(
                f"There is no database at {self.place}; the server does not know that name. "
                "Create it with createdb, or correct --database."
            )
        if code in FULL:
            return StorageFullError(
                f"The disk of the database at {self.place} is full. Free some space there; runs "
                "wait until then."
            )
        if code in BUSY:
            return StorageBusyError(
                f"The database at {self.place} is busy ({reason}). Until it answers, the pages "
                "show the last known state."
            )
        if code in LEAVING or code.startswith("08") or error.connection_invalidated or not code:
            return StorageUnreachableError(
                f"The database at {self.place} cannot be reached ({reason}). Start it, or correct "
                "--database; runs wait until it answers."
            )
        return StorageError(f"The records at {self.place} cannot be used: {reason}.")

    def _reason(self, error: DBAPIError) -> str:
        """Return the last thing that the driver said, in one line and without the password."""
        lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
        reason = next((line for line in lines if "FATAL" in line), lines[0] if lines else "")
        reason = reason.split("FATAL:")[-1].rsplit("failed: ", 1)[-1].strip().rstrip(".")
        for secret in self._secrets:
            reason = reason.replace(secret, "***")
        return reason or type(error.orig).__name__

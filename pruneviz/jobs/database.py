"""Where the records are kept: SQLite in the home's folder, or a PostgreSQL database."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.migrations import FORMAT, format_of, set_format, upgrade
from pruneviz.jobs.schema import Base

VARIABLE = "PRUNEVIZ_DATABASE"
EXAMPLE = "postgresql+psycopg://user@host:5432/name"
DRIVER = "postgresql+psycopg"


class Database(ABC):
    """An open database of records."""

    place: str
    """Where it is, as people may read it: never with a password."""
    address: str | None = None
    """Opens it in another process, with its password; None: it is in the home folder."""
    engine: Engine
    """For reading."""
    writer: Engine
    """For transactions that write."""
    stamp: int
    """The number that identifies these records and copies of them."""

    @abstractmethod
    def errors(self) -> AbstractContextManager[None]:
        """Turn the database's own errors into a `StorageError` with one sentence."""

    @abstractmethod
    def check_there(self) -> None:
        """See whether these are still the records that were opened.

        Raises:
            StorageGoneError: they are not.
        """

    @abstractmethod
    def rescue(self) -> None:
        """Restore deleted records.

        Raises:
            StorageError: other records have taken their place, or it cannot be written.
        """

    @abstractmethod
    def hold(self, session: Session, run_id: str) -> None:
        """Keep others from changing a run until the transaction ends."""

    @abstractmethod
    def hold_artifacts(self, session: Session, *, alone: bool = False) -> None:
        """Keep others from deleting files in the store until the transaction ends.

        With `alone`, keep them from adding files to the records, too.
        """

    @abstractmethod
    def hold_names(self, session: Session) -> None:
        """Keep others from naming runs until the transaction ends."""

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees a snapshot of the records and changes nothing."""
        with self.errors(), Session(self.engine) as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together at the end.

        Raises:
            StorageFullError, StorageBusyError, StorageGoneError, StorageUnreachableError: not now;
                later, perhaps.
        """
        self.check_there()
        kept = Session(self.writer, expire_on_commit=False)
        with self.errors(), kept as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def resolve_database(option: str | None = None) -> str | None:
    """Return the address of the database: `option`, else `$PRUNEVIZ_DATABASE`; None: SQLite.

    Raises:
        InvalidValueError: not the address of a PostgreSQL database.
    """
    chosen = option or os.environ.get(VARIABLE) or None
    if chosen is None:
        return None
    return parse_address(chosen).render_as_string(hide_password=False)


def parse_address(address: str) -> URL:
    """Parse the address of a PostgreSQL database; errors do not repeat it, as it has a password.

    Raises:
        InvalidValueError: it is none.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InvalidValueError(
            f"The address of a database looks like {EXAMPLE}; this one cannot be parsed. Special "
            "characters in a password are written as %40 and the like."
        ) from None
    if url.drivername not in (DRIVER, "postgresql", "postgres"):
        raise InvalidValueError(
            f"Records are kept in PostgreSQL, at an address such as {EXAMPLE}, or in SQLite, "
            f"without --database; got one of '{url.drivername}'."
        )
    return url.set(drivername=DRIVER)


def create_or_upgrade(connection: Connection) -> None:
    """Create the tables, or upgrade those of an older format, in one transaction."""
    number = format_of(connection)  # again: another process may have been quicker
    if number == 0:
        Base.metadata.create_all(connection)
        set_format(connection, FORMAT)
    elif number < FORMAT:
        upgrade(connection, number)

"""Opening the records, wherever they are kept."""

from __future__ import annotations

from pathlib import Path

from pruneviz.jobs.database import Database, parse_address
from pruneviz.jobs.home import DATABASE


def open_database(home: Path, address: str | None = None, *, create: bool = True) -> Database:
    """Open the records in `home`, or those at the address of a PostgreSQL database.

    Missing tables are created, and those of an older format upgraded.

    Raises:
        StorageError: they cannot be used; the sentence says why.
        InvalidValueError: not the address of a PostgreSQL database.
    """
    if address is None:
        from pruneviz.jobs.sqlite import Sqlite

        return Sqlite(home / DATABASE, create=create)
    from pruneviz.jobs.postgres import Postgres

    return Postgres(parse_address(address))

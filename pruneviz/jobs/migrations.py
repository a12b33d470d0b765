"""The format of the records, and the steps that upgrade it.

SQLite keeps the number in `PRAGMA user_version`, PostgreSQL in a table of its own; the steps are
SQL that both understand. PostgreSQL is supported since format 3, so earlier steps are for SQLite
only.

To change the tables:

1. Keep what the current version writes: copy a store of a few runs to `tests/jobs/formats/N.db`, N
   being the current `FORMAT`.
2. Write a function here that changes the tables of format N in plain SQL, with the rows in them,
   and append it to `STEPS`. A step that was released is never edited or moved.
3. Change the tables in `pruneviz.jobs.schema` to match. `tests/jobs/test_job_formats.py` opens
   each kept store and compares the tables with those of a new one.

All steps of an upgrade are one transaction: a process that is killed leaves the file as it was,
and of two processes that open it at once the second finds it done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, inspect, text

TABLE = "pruneviz_records"
"""PostgreSQL's: one row, the format, and the stamp that tells these records from others."""
Step = Callable[[Connection], None]


def _owners_and_signs(connection: Connection) -> None:
    """1 to 2: a run's owner may be unknown, and `worked` tells a hung worker from a slow one."""
    run = connection.exec_driver_sql
    run("ALTER TABLE runs RENAME COLUMN owner TO former_owner")
    run("ALTER TABLE runs ADD COLUMN owner VARCHAR")
    run("UPDATE runs SET owner = NULLIF(former_owner, '')")
    run("ALTER TABLE runs DROP COLUMN former_owner")
    run("ALTER TABLE runs ADD COLUMN worked DOUBLE")


def _no_pause(connection: Connection) -> None:
    """2 to 3: runs are cancelled and resumed, and no longer paused."""
    run = connection.exec_driver_sql
    run("UPDATE runs SET request = NULL WHERE request = 'pause'")
    run(
        "UPDATE runs SET status = 'interrupted', claim = NULL, pid = NULL, process = NULL "
        "WHERE status = 'paused'"
    )


def _lists_and_artifacts(connection: Connection) -> None:
    """3 to 4: columns to filter lists by, files in a store, signs of life from apps."""
    run, sqlite = connection.exec_driver_sql, connection.dialect.name == "sqlite"
    whole, double = ("INTEGER", "DOUBLE") if sqlite else ("BIGINT", "DOUBLE PRECISION")
    for column in ("network", "data", "strategy"):
        run(f"ALTER TABLE runs ADD COLUMN {column} VARCHAR")
    run("DROP INDEX ix_runs_status")
    for column in ("status", "kind", "owner", "network", "data", "strategy"):
        run(f"CREATE INDEX ix_runs_{column} ON runs ({column}, created)")
    for column in ("created", "name"):
        run(f"CREATE INDEX ix_runs_{column} ON runs ({column})")
    for run_id, spec in run("SELECT id, spec FROM runs").all():
        values = {"id": run_id, **listed_by(spec)}
        connection.execute(
            text(
                "UPDATE runs SET network = :network, data = :data, strategy = :strategy "
                "WHERE id = :id"
            ),
            values,
        )
    run(
        "CREATE TABLE artifacts (run_id VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        f"digest VARCHAR NOT NULL, size {whole} NOT NULL, "
        "PRIMARY KEY (run_id, name), "
        "FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE)"
    )
    run("CREATE INDEX ix_artifacts_digest ON artifacts (digest)")
    run(f"CREATE TABLE apps (id VARCHAR NOT NULL, seen {double} NOT NULL, PRIMARY KEY (id))")


def _tags(connection: Connection) -> None:
    """4 to 5: runs have a tag, at first the id of their study, and lists have a row a study."""
    run = connection.exec_driver_sql
    run("ALTER TABLE runs ADD COLUMN tag VARCHAR")
    run("UPDATE runs SET tag = parent")
    run("DROP INDEX ix_runs_parent")
    for column in ("tag", "parent"):
        run(f"CREATE INDEX ix_runs_{column} ON runs ({column}, created)")


def _visitors(connection: Connection) -> None:
    """5 to 6: the steps to plans, a class's predictions, and uploads that are in the store."""
    run, sqlite = connection.exec_driver_sql, connection.dialect.name == "sqlite"
    whole, double = ("INTEGER", "DOUBLE") if sqlite else ("BIGINT", "DOUBLE PRECISION")
    run(
        "CREATE TABLE steps (id VARCHAR NOT NULL, parent VARCHAR, "
        f"content {'JSON' if sqlite else 'TEXT'} NOT NULL, taken {double} NOT NULL, "
        "PRIMARY KEY (id))"
    )
    run(
        f"CREATE TABLE predictions (lesson VARCHAR NOT NULL, step {whole} NOT NULL, "
        f"visitor VARCHAR NOT NULL, choice {whole} NOT NULL, PRIMARY KEY (lesson, step, visitor))"
    )
    run(
        "CREATE TABLE uploads (digest VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        f"visitor VARCHAR NOT NULL, size {whole} NOT NULL, PRIMARY KEY (digest, name, visitor))"
    )
    run("CREATE INDEX ix_uploads_visitor ON uploads (visitor)")


def _studies(connection: Connection) -> None:
    """6 to 7: studies whose later runs depend on their earlier ones."""
    run, sqlite = connection.exec_driver_sql, connection.dialect.name == "sqlite"
    double, json_ = ("DOUBLE", "JSON") if sqlite else ("DOUBLE PRECISION", "TEXT")
    run(
        "CREATE TABLE studies (id VARCHAR NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        f"request {json_} NOT NULL, owner VARCHAR, quota {json_}, status VARCHAR NOT NULL, "
        f"error VARCHAR, submitter VARCHAR, created {double} NOT NULL, PRIMARY KEY (id))"
    )
    run("CREATE INDEX ix_studies_status ON studies (status)")


def listed_by(spec: object) -> dict[str, str | None]:
    """Return the columns that lists are filtered by, from a specification or its JSON."""
    if isinstance(spec, str | bytes):
        try:
            spec = json.loads(spec)
        except (ValueError, RecursionError):
            spec = None
    values: Mapping[str, object] = spec if isinstance(spec, Mapping) else {}

    def name(part: str, key: str) -> str | None:
        inner = values.get(part)
        value = inner.get(key) if isinstance(inner, Mapping) else None
        return value if isinstance(value, str) else None

    return {
        "network": name("model", "name"),
        "data": name("data", "name"),
        "strategy": name("options", "strategy"),
    }


STEPS: tuple[Step, ...] = (
    _owners_and_signs,
    _no_pause,
    _lists_and_artifacts,
    _tags,
    _visitors,
    _studies,
)
FORMAT = 1 + len(STEPS)


def format_of(connection: Connection) -> int:
    """Return the format of the records; 0: they are new."""
    if connection.dialect.name == "sqlite":
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if not inspect(connection).has_table(TABLE):
        return 0
    return int(connection.exec_driver_sql(f"SELECT format FROM {TABLE}").scalar_one())


def set_format(connection: Connection, number: int) -> None:
    """Write the format into the records, within the transaction."""
    run = connection.exec_driver_sql
    if connection.dialect.name == "sqlite":
        run(f"PRAGMA user_version = {int(number)}")
        return
    run(f"CREATE TABLE IF NOT EXISTS {TABLE} (format INTEGER NOT NULL, stamp INTEGER NOT NULL)")
    run(f"INSERT INTO {TABLE} SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM {TABLE})")
    run(f"UPDATE {TABLE} SET format = {int(number)}")


def upgrade(connection: Connection, number: int) -> None:
    """Upgrade tables of format `number` (1 or more) to the newest, in the caller's transaction."""
    for step in STEPS[number - 1 :]:
        step(connection)
    set_format(connection, FORMAT)

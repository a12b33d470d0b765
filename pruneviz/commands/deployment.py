"""What leads out of one machine: the options that say where records, files and workers are.

Each has a variable of the environment, too, which workers inherit and which no list of processes
shows; a password belongs there. Nothing heavy is imported: `pruneviz --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pruneviz import logs

DATABASE = "PRUNEVIZ_DATABASE"
STORE = "PRUNEVIZ_STORE"
SCHEDULER = "PRUNEVIZ_SCHEDULER"
WORKERS = "PRUNEVIZ_WORKERS"
NEEDS = "PRUNEVIZ_NEEDS"


def add_deployment(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of more than one machine."""
    group = parser.add_argument_group(
        "more than one machine",
        "Without these, runs are executed on this machine and recorded in the folder --home.",
    )
    group.add_argument(
        "--database",
        metavar="ADDRESS",
        # Given before the command or after it: the default there must not undo what was said here.
        default=argparse.SUPPRESS,
        help=(
            "PostgreSQL database for the records, postgresql+psycopg://user@host:5432/name "
            f"(default: ${DATABASE}; without either, a file in --home). Give an address with a "
            "password in the variable"
        ),
    )
    group.add_argument(
        "--store",
        metavar="ADDRESS",
        default=argparse.SUPPRESS,
        help=(
            "store for the files of runs, file:///folder or s3://bucket/folder (default: "
            f"${STORE}; without either, --home)"
        ),
    )

    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        default=argparse.SUPPRESS,
        help=(
            "Dask scheduler whose workers execute the runs, tcp://host:8786 (default: "
            f"${SCHEDULER}; without either, this machine does); needs --database and --store"
        ),
    )
    group.add_argument(
        "--needs",
        metavar="NAME=NUMBER",
        default=argparse.SUPPRESS,
        help=f"resource that a worker must offer, such as GPU=1 (default: ${NEEDS})",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help=f"runs at the same time on this machine (default: ${WORKERS}, or 1)",
    )


def add_log_format(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--log-format`."""
    parser.add_argument(
        "--log-format",
        choices=logs.FORMATS,
        default=argparse.SUPPRESS,
        help="text, or json: one JSON object per line, without secrets (default: "
        f"${logs.VARIABLE}, or text)",
    )


def log_as_asked(args: argparse.Namespace) -> None:
    """Log what happens in this process and those that it starts."""
    os.environ[logs.VARIABLE] = logs.resolve_format(getattr(args, "log_format", None)) or "text"
    logs.set_up()


def settle(args: argparse.Namespace) -> None:
    """Put what was asked for where this process and its workers look for it.

    Raises:
        InvalidValueError: an address or number that is none.
    """
    database = getattr(args, "database", None)
    if database:
        from pruneviz.jobs.database import resolve_database

        os.environ[DATABASE] = resolve_database(database) or ""
    store = getattr(args, "store", None)
    if store:
        from pruneviz.jobs.artifacts import resolve_store

        os.environ[STORE] = resolve_store(store) or ""

    scheduler = getattr(args, "scheduler", None)
    if scheduler:
        from pruneviz.jobs.dask_executor import resolve_scheduler

        os.environ[SCHEDULER] = resolve_scheduler(scheduler) or ""
    if hasattr(args, "needs"):
        from pruneviz.jobs.elsewhere import resolve_needs

        resolve_needs(args.needs)
        os.environ[NEEDS] = args.needs
    if hasattr(args, "workers"):
        from pruneviz.jobs.executor import resolve_workers

        os.environ[WORKERS] = str(resolve_workers(args.workers))


def check(home: Path) -> None:
    """See that what was asked for is there, before the studio opens.

    Raises:
        StorageError: database, store or scheduler cannot be used; one sentence says why.
    """
    if os.environ.get(DATABASE):
        from pruneviz.jobs.database import resolve_database
        from pruneviz.jobs.records import RunStore

        RunStore(home, resolve_database()).close()
    if os.environ.get(STORE):
        from pruneviz.jobs.artifacts import ArtifactStore, resolve_store

        ArtifactStore(resolve_store() or "").probe()
    if os.environ.get(SCHEDULER):
        from pruneviz.jobs.service import JobService

        JobService(home).close()

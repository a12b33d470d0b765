"""What a command prints: its result for people or for programs, progress for who watches."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

TABLE = ".parquet"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--json`."""
    parser.add_argument("--json", action="store_true", help="print only the result, as JSON")


def watched() -> bool:
    """Tell whether somebody watches: scripts and log files are spared the progress."""
    return sys.stderr.isatty()


def progress(text: str) -> None:
    """Say how far it is, to a person who watches; results have stdout to themselves."""
    if watched():
        print(text, file=sys.stderr, flush=True)


def say(args: argparse.Namespace, text: str) -> None:
    """Say something to a person, unless a program asked."""
    if not getattr(args, "json", False):
        print(text, flush=True)


def deliver(args: argparse.Namespace, value: Any) -> None:
    """Print the result for a program that asked for it."""
    if getattr(args, "json", False):
        print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)


def add_out(parser: argparse.ArgumentParser, what: str) -> None:
    """Give a parser `--out`."""
    parser.add_argument(
        "--out",
        type=Path,
        help=f"file for the {what}: JSON, or a table with one row per measurement if the name "
        f"ends in {TABLE}",
    )


def write_result(args: argparse.Namespace, text: str, table: pd.DataFrame) -> None:
    """Write a result to the file of `--out`, if one was named: as JSON, or as a table.

    Raises:
        StorageError: It cannot be written there.
    """
    if args.out is None:
        return
    if args.out.suffix == TABLE:
        put(args.out, table.to_parquet(index=False))
    else:
        write(args.out, text)
    say(args, f"Wrote {args.out}")


def write(path: Path, text: str) -> None:
    """Write a text to a file, whole or not at all; raises `StorageError` where it cannot."""
    put(path, f"{text}\n".encode())


def put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all; raises `StorageError` where it cannot."""
    from pruneviz.jobs.files import atomic_write

    try:
        atomic_write(path, content)
    except StorageError as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise StorageError(
            f"The result cannot be written to '{path}' ({why}); use --out to name another place."
        ) from error


def stop_writing() -> None:
    """Have nothing written any more to a pipe whose reader has gone, as in `| head`."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)

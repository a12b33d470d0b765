"""`pruneviz store gc`: tidying up the store of artifacts."""

from __future__ import annotations

import argparse

from pruneviz.commands.deployment import add_deployment
from pruneviz.commands.output import add_json, deliver, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument("what", choices=["gc"], help="delete the files that no run uses any more")
    parser.add_argument("--dry-run", action="store_true", help="only report what would be deleted")
    parser.add_argument(
        "--older-than",
        type=float,
        default=1.0,
        metavar="HOURS",
        help="leave younger files alone (default: 1)",
    )
    parser.add_argument("--home", default=argparse.SUPPRESS, help="folder for records")
    add_deployment(parser)
    add_json(parser)


def obey(args: argparse.Namespace) -> int:
    """Tidy up, and say what that has freed."""
    from dataclasses import asdict

    from pruneviz.jobs.artifacts import resolve_store
    from pruneviz.jobs.collect import collect
    from pruneviz.jobs.database import resolve_database
    from pruneviz.jobs.home import resolve_home
    from pruneviz.jobs.quota import mib
    from pruneviz.jobs.records import RunStore

    records = RunStore(resolve_home(args.home), resolve_database(), resolve_store())
    try:
        done = collect(records, older_than=args.older_than * 3600, dry_run=args.dry_run)
    finally:
        records.close()
    said = "would be deleted" if args.dry_run else "deleted"
    say(
        args,
        f"{done.files} file{'' if done.files == 1 else 's'} {said}, {mib(done.size)}; "
        f"{done.kept_files} kept, {mib(done.kept_size)}.",
    )
    deliver(args, {**asdict(done), "dry_run": args.dry_run})
    return 0

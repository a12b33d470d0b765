"""`pruneviz tour`: the tour notebook, or the one for a job, copied to where the user stands."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from pruneviz.errors import StorageError

JOBS = ("engineer", "teacher", "researcher", "segmentation")
_PACKAGE = Path(__file__).resolve().parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument(
        "--job", choices=JOBS, help="a notebook for this job instead (default: the tour)"
    )
    parser.add_argument("to", nargs="?", default=".", help="folder or file (default: here)")
    parser.add_argument("--force", action="store_true", help="overwrite")


def obey(args: argparse.Namespace) -> int:
    """Copy the tour notebook to where the user stands."""
    source = _PACKAGE / "tour.ipynb"
    if args.job is not None:
        source = _PACKAGE / "notebook" / "examples" / f"{args.job}.ipynb"
    target = Path(args.to)
    if target.is_dir():
        target = target / f"pruneviz-{source.stem}.ipynb"
    if target.exists() and not args.force:
        raise StorageError(f"{target} exists already; add --force to overwrite it.")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StorageError(
            f"The tour cannot be written to {target} ({error.strerror}); name a writable folder "
            "after `pruneviz tour`."
        ) from error
    print(f"Wrote {target}. Open it with: jupyter lab {target}")
    return 0

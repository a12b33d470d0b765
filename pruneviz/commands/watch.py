"""What the commands share: their options, and telling how a run goes until it has ended."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pruneviz.commands.deployment import add_deployment
from pruneviz.commands.output import add_json, progress, say
from pruneviz.data_options import NAMES, check_data
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from pruneviz.catalog import ModelSource
    from pruneviz.jobs.service import JobService
    from pruneviz.jobs.views import MetricView, RunView

POLL_SECONDS = 0.3
STOPPED = 130
"""The exit status after Ctrl+C."""


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options that name one network and one data set."""
    parser.add_argument("--model", default="resnet20", help="a network (default: resnet20)")
    parser.add_argument(
        "--weights",
        help="digits, cifar10, imagenet, a file or random; by default those trained on the data, "
        "or random if there are none",
    )
    add_data(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options that name one data set."""
    parser.add_argument(
        "--data",
        default="digits",
        help="a data set, or a folder or zip of images (default: digits)",
    )
    parser.add_argument("--root", help="the folder or zip of its images, if it needs one")


def data_of(args: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """Return the name and options of the data set that the options of `add_data` name.

    Loads nothing: to be called before anything slow, since it refuses what there is not.
    """
    if args.root is None and args.data not in NAMES and Path(args.data).exists():
        return "folder", {"root": args.data}
    given = {"root": args.root} if args.root else {}
    check_data(args.data, given)
    return args.data, given


def model_of(args: argparse.Namespace) -> ModelSource:
    """The source of the network that the options of `add_subject` name."""
    from pruneviz.catalog import ModelSource, models

    weights = args.weights
    if weights is None:
        known = models().set_index("name")["weights"].get(args.model, "").split(", ")
        weights = args.data if args.data in known else None
        others = f"; --weights takes {', '.join(filter(None, known))}" if any(known) else ""
        say(args, f"Weights: {weights}." if weights else f"Weights: random{others}.")
    return ModelSource(args.model, None if weights == "random" else weights)


def add_service(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options that say where records are kept and how much computes."""
    parser.add_argument("--threads", type=int, help="CPU cores to use (default: all but one)")
    add_json(parser)
    # Given before the command or after it: the default there must not undo what was said here.
    parser.add_argument(
        "--home", default=argparse.SUPPRESS, help="folder for records (default: the studio's)"
    )
    add_deployment(parser)


def service_of(args: argparse.Namespace, workers: int | None = None) -> JobService:
    """The service that the options of `add_service` describe, with so many workers here."""
    from pruneviz.jobs.service import JobService

    return JobService(args.home, threads=threads_of(args), workers=workers)


def threads_of(args: argparse.Namespace) -> int | None:
    """The cores to compute with; None where the option was not given."""
    if args.threads is not None and args.threads < 1:
        raise InvalidValueError(
            f"Threads must be a whole number of at least 1, but got {args.threads}."
        )
    return cast("int | None", args.threads)


def check_target(args: argparse.Namespace) -> None:
    """Refuse a MACs target that is no fraction to keep.

    Raises:
        InvalidValueError: It is not above 0 and at most 1.
    """
    if not 0 < args.target_macs <= 1:
        raise InvalidValueError(
            "--target-macs is the fraction of the MACs to keep, above 0 and at most 1, but got "
            f"{args.target_macs:g}."
        )


def use_threads(args: argparse.Namespace) -> None:
    """Have torch compute with as many cores as was asked for."""
    threads = threads_of(args)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def follow(service: JobService, run_id: str) -> RunView | None:
    """Print events as they come, until the run has ended; None where Ctrl+C stopped it."""
    teller = Teller(service)
    try:
        while (run := service.get(run_id)).active:
            teller.tell(run)
            time.sleep(POLL_SECONDS)
        teller.tell(run)
    except KeyboardInterrupt:
        return None
    return run


class Teller:
    """Prints what is new about one run."""

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._seen = 0
        self._said = ""

    def tell(self, run: RunView, before: str = "") -> None:
        """Print the events since the last call, and what is being done; `before` on each line."""
        rows = self._service.metrics(run.id, since=self._seen)
        for row in rows:
            if row.level != "batch":
                progress(before + line_of(row, run))
            self._seen = row.id
        if run.active and run.message and run.message != self._said:
            self._said = run.message
            if not rows:  # which say the same
                progress(f"{before}{run.message} ...")


def line_of(row: MetricView, run: RunView) -> str:
    """One event: what was done, and how the network stands."""
    parts = [f"{run.progress:4.0%}", f"step {row.step}" if row.step is not None else "     "]
    phase = row.extra.get("phase")
    parts += [str(phase)] if phase else []
    if row.units_left is not None:
        parts.append(f"{row.units_left} units")
    if row.macs is not None:
        parts.append(f"{row.macs / 1e6:.4g} MMACs")
    if row.loss is not None:
        parts.append(f"loss {row.loss:.4f}")
    if row.accuracy is not None:
        parts.append(f"accuracy {row.accuracy:.2%}")
    return "  ".join(parts)


def unfinished(run: RunView) -> int:
    """Say how a run ended that is not done; 2 where it failed, 1 otherwise."""
    if run.status == "failed":
        print(f"pruneviz: {run.error}", file=sys.stderr)
        return 2
    print(f"pruneviz: The run is {run.status}.", file=sys.stderr)
    return 1

"""`pruneviz race`: strategies on the same network, data, budget and seeds, a queue of runs.

The same command again goes on where it was stopped, and with more seeds adds their runs.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pruneviz.arguments import check_seeds
from pruneviz.commands.output import add_out, deliver, say, write_result
from pruneviz.commands.queue import (
    add_max_parallel,
    max_parallel_of,
    service_for,
    status_of,
    work_through,
)
from pruneviz.commands.watch import (
    STOPPED,
    add_service,
    add_subject,
    check_target,
    data_of,
    model_of,
    threads_of,
)
from pruneviz.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    from pruneviz.studies.race_result import Race


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    from pruneviz.strategies import names

    parser.add_argument(
        "strategies",
        metavar="STRATEGY",
        nargs="*",
        help=f"some of: {', '.join(names())} (default: all that reach a MACs target, control)",
    )
    add_subject(parser)
    parser.add_argument(
        "--target-macs",
        type=float,
        default=0.5,
        help=("fraction of the MACs to keep (default: 0.5)"),
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=6,
        help=("passes over the training images, per strategy (default: 6)"),
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="one run per seed (default: 0 1 2)"
    )
    parser.add_argument(
        "--halving",
        action="store_true",
        help="after 1, 2, 4, ... seeds only the better half by validation accuracy continues "
        "(successive halving)",
    )
    add_out(parser, "race")
    add_max_parallel(parser)
    add_service(parser)


def obey(args: argparse.Namespace) -> int:
    """Queue the runs that are missing and tell how they go; returns the exit status."""
    from pruneviz.strategies import names as known

    for name in args.strategies:  # before torch is loaded, which takes seconds
        if name not in known():
            raise UnknownNameError("strategy", name, known())
    check_target(args)
    if args.epochs < 1:
        raise InvalidValueError(
            f"Epochs must be a whole number of at least 1, but got {args.epochs}."
        )
    threads_of(args)
    max_parallel_of(args)
    check_seeds(args.seeds)
    name, given = data_of(args)
    from pruneviz.catalog import load_dataset, options_for
    from pruneviz.jobs.listing import Which
    from pruneviz.studies.race import DEFAULT
    from pruneviz.studies.race_queue import RaceRequest, gather

    source = model_of(args)
    asked = RaceRequest(
        model=source.to_dict(),
        data=load_dataset(name, **options_for(source, name, given)).source,
        strategies=tuple(args.strategies) or DEFAULT,
        target_macs=args.target_macs,
        epochs=args.epochs,
        seeds=tuple(args.seeds),
        halving=args.halving,
    )
    with service_for(args) as service:
        runs = work_through(args, service, asked)
        if runs is None:
            return STOPPED
        race = gather(service, service.list(Which(parent=asked.id)))
    if race is not None:
        say(args, table(race))
        deliver(args, json.loads(race.to_json()))
        write_result(args, race.to_json(), race.runs_frame())
    return status_of(runs)


HALVED = "Successive halving: after 1, 2, 4, ... seeds only the better half continued."


def table(race: Race) -> str:
    """Mean and standard deviation over the seeds, a line a strategy."""
    lines = [f"{'strategy':<16}{'accuracy':>18}{'MACs left':>11}{'passes':>8}{'seeds':>7}"]
    for row in race.to_frame().to_dict("records"):
        if not row["runs"]:
            continue
        spread = f" ± {row['accuracy_std']:.2%}" if row["runs"] > 1 else ""
        accuracy = f"{row['accuracy']:.2%}{spread}"
        lines.append(
            f"{row['strategy']:<16}{accuracy:>18}{row['macs']:>11.1%}{row['passes']:>8.1f}"
            f"{row['runs']:>7}{'  stopped early' if row['stopped'] else ''}"
        )
    images = "test" if race.split == "test" else "validation"
    if race.halving:
        lines.append(HALVED)
    lines.append(f"Before: {race.baseline:.2%}. Accuracy on {race.images:,} {images} images.")
    return "\n".join(lines)

"""What `race` and `study` share: a queue of runs, worked through and told about."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruneviz.commands.deployment import SCHEDULER, WORKERS
from pruneviz.commands.output import say
from pruneviz.commands.watch import POLL_SECONDS, Teller, service_of, unfinished
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService
    from pruneviz.jobs.views import RunSpec, RunView
    from pruneviz.studies.queue import Queue, Study


def add_max_parallel(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--max-parallel`."""
    parser.add_argument(
        "--max-parallel",
        type=int,
        metavar="N",
        help="maximum number of runs at the same time (default: as many as there are workers); "
        "without --workers and --scheduler, this machine runs that many",
    )


def max_parallel_of(args: argparse.Namespace) -> int | None:
    """How many runs may be under way at the same time; None: as many as there are workers."""
    most: int | None = args.max_parallel
    if most is not None and most < 1:
        raise InvalidValueError(f"--max-parallel is a whole number of at least 1, but got {most}.")
    return most


def service_for(args: argparse.Namespace) -> JobService:
    """The service of a command that works through a queue."""
    named = os.environ.get(WORKERS) or os.environ.get(SCHEDULER)
    return service_of(args, None if named else max_parallel_of(args))


def work_through(
    args: argparse.Namespace, service: JobService, study: Study
) -> tuple[RunView, ...] | None:
    """Do the runs of a study that are not done, and say how each ends; None after Ctrl+C."""
    from pruneviz.studies.queue import Queue

    service.recover()
    queue = Queue(service, study, at_most=max_parallel_of(args))
    many = f"{'Up to ' if study.adaptive else ''}{len(queue)} runs"
    say(args, f"{many}, stored in {service.home} and shown on the studio's page Lab.")
    say(args, outlook(args, service, queue.ahead()))
    try:
        return _follow(args, service, queue)
    except KeyboardInterrupt:
        say(args, "\nStopped. Run the same command to continue from the last checkpoint.")
        return None


def status_of(runs: Sequence[RunView]) -> int:
    """Say which runs are not done; the exit status is 0 where all are, 2 where one failed."""
    return max((unfinished(run) for run in runs if run.status != "done"), default=0)


def outlook(args: argparse.Namespace, service: JobService, ahead: Sequence[RunSpec]) -> str:
    """Say how long runs will take and how large their files will be, judging by those done."""
    from pruneviz.jobs.executor import resolve_workers
    from pruneviz.jobs.quota import mib
    from pruneviz.ui.widgets.duration import said

    if not ahead:
        return "All of them have already ended."
    likely = service.outlook(ahead)
    workers = max_parallel_of(args) or resolve_workers()
    shared = os.environ.get(SCHEDULER) or workers > 1
    told = "The time they take is known once one has ended."
    if likely.timed:
        told = f"They take about {said(likely.seconds)}{_some(likely.timed, ahead)}, " + (
            "shared by the workers." if shared else "one after the other."
        )
    if likely.sized:
        told += f" Their files take about {mib(likely.size)}{_some(likely.sized, ahead)}."
    return told


def _some(known: int, ahead: Sequence[RunSpec]) -> str:
    return "" if known == len(ahead) else f" for the {known} of {len(ahead)} known"


def _follow(args: argparse.Namespace, service: JobService, queue: Queue) -> tuple[RunView, ...]:
    tellers: dict[str, Teller] = {}
    ended: set[str] = set()
    while True:
        runs = queue.advance()
        several = sum(run.active for run in runs) > 1
        for run in runs:
            if run.id in ended:
                continue
            teller = tellers.setdefault(run.id, Teller(service))
            teller.tell(run, f"{run.name}: " if several else "")
            if not run.active:
                ended.add(run.id)
                say(args, f"{len(ended)} of {len(queue)}. {run.name}: {run.status}")
        if queue.over(runs):
            return runs
        time.sleep(POLL_SECONDS)

"""`pruneviz lab`: list the claims, put one to the test, show what was measured."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pruneviz.commands.deployment import SCHEDULER, add_deployment
from pruneviz.commands.output import add_json, deliver, progress, say, write
from pruneviz.commands.queue import (
    add_max_parallel,
    max_parallel_of,
    service_for,
    status_of,
    work_through,
)
from pruneviz.commands.watch import STOPPED, threads_of, use_threads
from pruneviz.errors import PruneVizError
from pruneviz.studies.papers.claims import SCALES, claims, find_claim
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import STORED, LabResult, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and obey; returns the exit status."""
    parser = argparse.ArgumentParser(prog="pruneviz lab", description=__doc__)
    add_arguments(parser)
    args = parser.parse_args(None if arguments is None else list(arguments))
    try:
        return obey(args)
    except PruneVizError as error:
        print(f"pruneviz lab: {error}", file=sys.stderr)
        return 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the lab's commands and options."""
    actions = parser.add_subparsers(dest="action", title="commands", metavar="")
    listed = actions.add_parser("list", help="list the claims and the results for each")
    tabled = actions.add_parser("table", help="the results as a table in Markdown")
    for shown in (listed, tabled):
        add_json(shown)
        shown.add_argument(
            "--folder",
            type=Path,
            default=STORED,
            help=("folder of results (default: the ones that come with PruneViz)"),
        )
    one = actions.add_parser("run", help="test a claim")
    names = ", ".join(claim.key for claim in claims())
    one.add_argument("claim", metavar="CLAIM", help=f"one of: {names}")
    one.add_argument(
        "--model", "--network", dest="network", default="", help="a network (default: the claim's)"
    )
    one.add_argument("--weights", help="weights (default: those trained on the data)")
    one.add_argument("--data", default="digits", help="a data set of the catalogue")
    one.add_argument("--root", help="the folder or zip of its images, if it needs one")
    one.add_argument("--size", type=int, help="side of the images in pixels")
    one.add_argument("--limit", type=int, help=("at most this many images per class in each split"))
    one.add_argument("--scale", default="minutes", help=f"{' or '.join(SCALES)} (default: minutes)")
    one.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="one experiment per seed"
    )
    one.add_argument("--threads", type=int, default=1, help="CPU cores to use (default: 1)")
    one.add_argument("--out", type=Path, default=Path.cwd(), help="folder for the result")
    add_json(one)
    # As in add_service: given before the command or after it.
    one.add_argument("--home", default=argparse.SUPPRESS, help="folder for records, for a queue")
    add_max_parallel(one)
    add_deployment(one)
    parser.set_defaults(action="list", folder=STORED, json=False)


def obey(args: argparse.Namespace) -> int:
    """Do what the arguments say; returns the exit status."""
    if args.action == "run":
        if args.max_parallel is not None or os.environ.get(SCHEDULER):
            return run_as_queue(args)
        run(args)
    elif args.action == "table":
        say(args, table(results(args.folder)))
        deliver(args, _documents(results(args.folder)))
    else:
        if not args.json:
            show(results(args.folder))
        deliver(args, _documents(results(args.folder)))
    return 0


def run(args: argparse.Namespace) -> LabResult:
    """Run an experiment and write its result; a stopped one goes on where it was."""
    request = request_of(args)
    threads_of(args)
    path = writable(args, request)
    kept = args.out / f".{request.name}.parts"
    use_threads(args)
    from pruneviz.studies.papers.experiment import perform

    result = perform(request, keep=kept, say=progress)
    _finish(args, path, result)
    kept.unlink(missing_ok=True)
    return result


def run_as_queue(args: argparse.Namespace) -> int:
    """Run an experiment as a queue, a run a seed, and write its result; returns the exit status.

    The same command again goes on where it was stopped, and with more seeds adds their runs.
    """
    request = request_of(args)
    if request.root is not None:  # a worker has another working directory
        request = replace(request, root=str(Path(request.root).expanduser().absolute()))
    threads_of(args)
    max_parallel_of(args)
    from pruneviz.studies.papers.queue import ClaimQueue, gather

    path = writable(args, request)
    args.home = getattr(args, "home", None)
    with service_for(args) as service:
        runs = work_through(args, service, ClaimQueue(request))
        if runs is None:
            return STOPPED
        status = status_of(runs)
        if status == 0:
            _finish(args, path, gather(service, runs, request))
    return status


def request_of(args: argparse.Namespace) -> Request:
    """The experiment that the arguments name."""
    return Request(
        claim=args.claim,
        network=args.network,
        data=args.data,
        root=args.root,
        weights=args.weights,
        size=args.size,
        limit=args.limit,
        scale=args.scale,
        seeds=tuple(args.seeds),
    )


def writable(args: argparse.Namespace, request: Request) -> Path:
    """Where the result goes; refused before minutes of work, not after."""
    path: Path = args.out / f"{request.name}.json"
    write(path.with_suffix(".writable"), "")
    path.with_suffix(".writable").unlink()
    return path


def _finish(args: argparse.Namespace, path: Path, result: LabResult) -> None:
    write(path, result.to_json())
    say(args, f"Wrote {path}")
    if not args.json:
        _print(result)
    deliver(args, json.loads(result.to_json()))


def _documents(results: Sequence[LabResult]) -> list[dict[str, Any]]:
    return [json.loads(one.to_json()) for one in results]


def show(stored: Sequence[LabResult]) -> None:
    """Print every claim, and the results of it."""
    for claim in claims():
        print(f"{claim.key}: {claim.title}. {claim.paper}")
        print(f"  published: {claim.published}")
        print(f"  test here: {claim.test}")
        for result in stored:
            if result.claim == claim.key:
                _print(result)
        print()


def table(results: Sequence[LabResult]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| claim | network, data | measured | holds | command, commit |",
        "|---|---|---|---|---|",
    ]
    order = [claim.key for claim in claims()]
    for result in sorted(results, key=lambda r: order.index(r.claim)):
        claim = find_claim(result.claim)
        measured = "; ".join(text for text, _ in result.readings)
        verdict = "yes" if result.holds else "**no**"
        if result.outdated:
            verdict += ", with an earlier version of the test"
        lines.append(
            f"| {claim.title} | {result.network}, {result.data} | {measured} "
            f"({result.count_seeds()}) | {verdict} | `{result.command}`, {result.commit} |"
        )
    machines = "; ".join(sorted({result.machine for result in results}))
    return "\n".join([*lines, "", f"Measured on: {machines or 'nothing yet'}."])


def _print(result: LabResult) -> None:
    about = f"{result.network} on {result.data}, {result.scale}, {result.count_seeds()}"
    print(f"  {about}, {result.commit}:")
    if result.outdated:
        print(f"    Measured with an earlier version of the test, without: {result.outdated}.")
    for text, holds in result.readings:
        print(f"    {'holds' if holds else 'DOES NOT HOLD'}: {text}")

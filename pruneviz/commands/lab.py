"""`pruneviz lab`: list the claims, put one to the test, show what was measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pruneviz.commands.output import add_json, deliver, progress, say, write
from pruneviz.commands.watch import use_threads
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
    parser.set_defaults(action="list", folder=STORED, json=False)


def obey(args: argparse.Namespace) -> int:
    """Do what the arguments say; returns the exit status."""
    if args.action == "run":
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
    request = Request(
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
    use_threads(args)
    from pruneviz.studies.papers.experiment import perform

    kept = args.out / f".{request.name}.parts"
    path = args.out / f"{request.name}.json"
    write(path.with_suffix(".writable"), "")  # said before minutes of work, not after
    path.with_suffix(".writable").unlink()
    result = perform(request, keep=kept, say=progress)
    write(path, result.to_json())
    kept.unlink(missing_ok=True)
    say(args, f"Wrote {path}")
    if not args.json:
        _print(result)
    deliver(args, json.loads(result.to_json()))
    return result


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

"""`pruneviz lab`: list the claims, put one to the test, show what was measured."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pruneviz.errors import PruneVizError
from pruneviz.lab.claims import SCALES, claims, find_claim
from pruneviz.lab.result import STORED, LabResult, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and obey; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(None if arguments is None else list(arguments))
    try:
        if args.action == "run":
            run(args)
        elif args.action == "table":
            print(table(results(args.folder)))
        else:
            show(args)
    except PruneVizError as error:
        print(f"pruneviz lab: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="pruneviz lab", description=__doc__)
    actions = parser.add_subparsers(dest="action")
    listed = actions.add_parser("list", help="the claims, and what was measured of each")
    listed.add_argument("--folder", type=Path, default=STORED, help="where results are")
    tabled = actions.add_parser("table", help="the results as a table for a README")
    tabled.add_argument("--folder", type=Path, default=STORED, help="where results are")
    one = actions.add_parser("run", help="put a claim to the test")
    one.add_argument("claim", choices=[c.key for c in claims()])
    one.add_argument("--network", help="by default the claim's first")
    one.add_argument("--weights", help="by default those trained on the data")
    one.add_argument("--data", default="digits", help="a data set of the catalogue")
    one.add_argument("--root", help="the folder or zip of its images, where it needs one")
    one.add_argument("--limit", type=int, help="at most so many images a class in each split")
    one.add_argument("--scale", choices=SCALES, default="minutes")
    one.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--out", type=Path, default=Path.cwd(), help="folder for the result")
    parser.set_defaults(action="list", folder=STORED)
    return parser


def run(args: argparse.Namespace) -> LabResult:
    """Run an experiment and write its result; a stopped one goes on where it was."""
    import torch

    from pruneviz.lab.bench import Bench, commit, load_data, machine

    claim = find_claim(args.claim)
    torch.set_num_threads(args.threads)
    network = args.network or claim.networks[0]
    args.out.mkdir(parents=True, exist_ok=True)
    named = Path(args.root).stem if args.root else args.data
    name = f"{claim.key}-{network}-{named}-{args.scale}"
    kept = args.out / f".{name}.parts"
    data = load_data(args.data, args.root, trained=args.weights is None, limit=args.limit)
    bench = Bench(
        network, data, args.scale, tuple(args.seeds), keep=kept, say=_say, weights=args.weights
    )
    ran = bench.part("commit", commit)
    begun = time.perf_counter()
    experiment = import_module(f"pruneviz.lab.{claim.module}")
    findings, readings, settings = experiment.run(bench)
    seconds = bench.part("seconds", lambda: time.perf_counter() - begun)
    settings = {
        "weights": args.weights or args.data,
        "train_images": len(data.train),
        "val_images": len(data.val),
        "test_images": len(data.split("test")),
        **settings,
    }
    result = LabResult(
        claim=claim.key,
        network=network,
        data=named,
        scale=args.scale,
        seeds=tuple(args.seeds),
        findings=tuple(findings),
        readings=tuple(readings),
        settings=settings,
        command=command(args, network),
        commit=ran,
        machine=machine(),
        seconds=round(seconds, 1),
    )
    path = args.out / f"{result.name}.json"
    path.write_text(result.to_json() + "\n", encoding="utf-8")
    kept.unlink(missing_ok=True)
    print(f"Wrote {path}")
    _print(result)
    return result


def command(args: argparse.Namespace, network: str) -> str:
    """The command that gives the result again; a path shrinks to its name."""
    root = f" --root {Path(args.root).name}" if args.root else ""
    weights = f" --weights {Path(args.weights).name}" if args.weights else ""
    limit = f" --limit {args.limit}" if args.limit else ""
    return (
        f"python -m pruneviz.lab run {args.claim} --network {network} --data {args.data}{root}"
        f"{limit}{weights} --scale {args.scale} --seeds {' '.join(map(str, args.seeds))}"
    )


def show(args: argparse.Namespace) -> None:
    """Every claim, and the stored results of it."""
    stored = results(args.folder)
    for claim in claims():
        print(f"{claim.key}: {claim.title}. {claim.paper}")
        print(f"  published: {claim.published}")
        print(f"  test here: {claim.test}")
        for result in stored:
            if result.claim == claim.key:
                _print(result)
        print()


def table(found: Sequence[LabResult]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| claim | network, data | measured | holds | command, commit |",
        "|---|---|---|---|---|",
    ]
    for result in found:
        claim = find_claim(result.claim)
        measured = "; ".join(text for text, _ in result.readings)
        verdict = "yes" if result.holds else "**no**"
        lines.append(
            f"| {claim.title} | {result.network}, {result.data} | {measured} "
            f"({len(result.seeds)} seeds) | {verdict} | `{result.command}`, {result.commit} |"
        )
    return "\n".join(lines)


def _print(result: LabResult) -> None:
    seeds = f"{len(result.seeds)} seed{'s' if len(result.seeds) > 1 else ''}"
    print(f"  {result.network} on {result.data}, {result.scale}, {seeds}, {result.commit}:")
    for text, holds in result.readings:
        print(f"    {'holds' if holds else 'DOES NOT HOLD'}: {text}")


def _say(text: str) -> None:
    print(text, flush=True)

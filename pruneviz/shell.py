"""`pruneviz run`: a strategy as a run with records, watched from the shell."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService
    from pruneviz.jobs.views import MetricView, RunView
    from pruneviz.strategies import OptionInfo, Strategy

POLL_SECONDS = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    from pruneviz.strategies import NAMES

    parser.add_argument("strategy", metavar="STRATEGY", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--model", default="resnet20", help="a network (default: resnet20)")
    parser.add_argument("--weights", help="digits, cifar10, imagenet or a file; by default random")
    parser.add_argument("--data", default="digits", help="a data set (default: digits)")
    parser.add_argument("--root", help="the folder or zip of its images, where it needs one")
    parser.add_argument("--target-macs", type=float, help="fraction of the MACs that may be left")
    parser.add_argument("--epochs", type=int, help="epochs of fine-tuning at the end")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same network")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the strategy; may be given several times (--options lists them)",
    )
    parser.add_argument("--options", action="store_true", help="list the strategy's options")
    parser.add_argument("--name", default="", help="what the run is called")
    parser.add_argument("--threads", type=int, help="cores to compute with (default: all but one)")
    # Given before the command or after it: the default there must not undo what was said here.
    parser.add_argument(
        "--home", default=argparse.SUPPRESS, help="folder for records, the studio's own by default"
    )


def obey(args: argparse.Namespace) -> int:
    """Submit the run and tell how it goes until it has ended; returns the exit status."""
    from pruneviz.strategies import NAMES

    if args.strategy not in NAMES:  # before torch is loaded, which takes seconds
        raise UnknownNameError("strategy", args.strategy, NAMES)
    from pruneviz.strategies import find_strategy

    strategy = find_strategy(args.strategy)
    if args.options:
        describe(strategy)
        return 0
    from pruneviz.catalog import ModelSource, load_dataset
    from pruneviz.jobs.service import JobService
    from pruneviz.jobs.views import RunSpec

    if args.threads is not None and args.threads < 1:
        raise InvalidValueError(f"Threads are a whole number from 1, but got {args.threads}.")
    options = options_of(strategy, args)
    data = load_dataset(args.data, **({"root": args.root} if args.root else {}))
    spec = RunSpec(
        kind="strategy",
        model=ModelSource(args.model, args.weights).to_dict(),
        data=data.source,
        options={"strategy": strategy.name, **options},
        name=args.name or f"{args.model}: {strategy.title}",
    )
    with JobService(args.home, threads=args.threads) as service:
        run_id = service.submit(spec)
        print(f"Run '{spec.name}', kept in {service.home} and shown on the studio's page Runs.")
        return follow(service, run_id)


def options_of(strategy: Strategy, args: argparse.Namespace) -> dict[str, Any]:
    """What the run is to be given, checked as the strategy does it."""
    known = {info.name: info for info in strategy.fields}
    own: dict[str, Any] = {}
    for pair in args.set:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InvalidValueError(f"--set takes NAME=VALUE, but got '{pair}'.")
        if name not in known:
            raise UnknownNameError(f"option of strategy '{strategy.name}'", name, known)
        own[name] = value_of(known[name], text)
    if args.epochs is not None:
        own["epochs"] = args.epochs
    strategy.make_options(own)
    if args.target_macs is not None:
        if not 0 < args.target_macs <= 1:
            raise InvalidValueError(
                "--target-macs is the fraction of the MACs that may be left, above 0 and at most "
                f"1, but got {args.target_macs:g}."
            )
        if not strategy.takes_target:
            raise InvalidValueError(
                f"Strategy '{strategy.name}' goes by no MACs target; leave --target-macs out."
            )
        own["target_macs"] = args.target_macs
    return {**own, "seed": args.seed}


def value_of(info: OptionInfo, text: str) -> Any:
    """An option's value as it was typed."""
    if info.optional and text.lower() in ("", "none"):
        return None
    if info.kind == "str":
        return text
    if info.kind == "bool":
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in words:
            return words[text.lower()]
        raise InvalidValueError(f"Option '{info.name}' is true or false, but got '{text}'.")
    try:
        return int(text) if info.kind == "int" else float(text)
    except ValueError:
        kind = "a whole number" if info.kind == "int" else "a number"
        raise InvalidValueError(f"Option '{info.name}' is {kind}, but got '{text}'.") from None


def describe(strategy: Strategy) -> None:
    """Print what a strategy does, and its options with their defaults."""
    print(f"{strategy.name}: {strategy.help}" + (f" {strategy.paper}" if strategy.paper else ""))
    for info in strategy.fields:
        choices = f" One of: {', '.join(info.choices)}." if info.choices else ""
        print(f"  {info.name}={info.default}  {info.help}{choices}")


def follow(service: JobService, run_id: str) -> int:
    """Print events as they come, until the run has ended; Ctrl+C stops it, to be resumed."""
    seen, said = 0, ""
    try:
        while True:
            run = service.get(run_id)
            rows = service.metrics(run_id, since=seen)
            for row in rows:
                if row.level != "batch":
                    print(line_of(row, run), flush=True)
                seen = row.id
            if run.active and run.message and run.message != said:
                said = run.message
                if not rows:  # which say the same
                    print(f"{said} ...", flush=True)
            if not run.active:
                break
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        print("\nStopped. The studio's page Runs resumes it from its last checkpoint.")
        return 130
    return report(service, run)


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


def report(service: JobService, run: RunView) -> int:
    """Say how the run ended; 0 where it is done, 2 where it failed, 1 otherwise."""
    if run.status == "failed":
        print(f"pruneviz: {run.error}", file=sys.stderr)
        return 2
    if run.status != "done":
        print(f"The run is {run.status}.")
        return 1
    found = service.results(run.id)
    cost, before, after = found["cost"], found["baseline"], found["after"]
    print(
        f"Done in {run.seconds:.0f} s: top-1 {before['accuracy']:.2%} -> {after['accuracy']:.2%} "
        f"on {after['count']} validation images, {cost['macs'] / cost['baseline_macs']:.1%} of the "
        f"MACs and {cost['params'] / cost['baseline_params']:.1%} of the parameters left."
    )
    print(f"Weights and plan: {service.files(run.id)}")
    return 0

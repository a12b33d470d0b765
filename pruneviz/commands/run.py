"""`pruneviz run`: a strategy as a run with records, watched from the shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import whole
from pruneviz.commands.output import deliver, say
from pruneviz.commands.watch import (
    STOPPED,
    add_service,
    add_subject,
    check_target,
    data_of,
    follow,
    model_of,
    service_of,
    threads_of,
    unfinished,
)
from pruneviz.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService
    from pruneviz.jobs.views import RunView
    from pruneviz.strategies import OptionInfo, Strategy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    from pruneviz.strategies import names

    parser.add_argument("strategy", metavar="STRATEGY", help=f"one of: {', '.join(names())}")
    add_subject(parser)
    parser.add_argument("--target-macs", type=float, help="fraction of the MACs to keep")
    parser.add_argument("--epochs", type=int, help="epochs of fine-tuning at the end")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same network")
    add_set(parser)
    parser.add_argument("--options", action="store_true", help="list the strategy's options")
    parser.add_argument("--name", default="", help="name of the run")
    add_service(parser)


def add_set(parser: argparse.ArgumentParser) -> None:
    """Give a parser `--set`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the strategy; may be given several times (--options lists them)",
    )


def obey(args: argparse.Namespace) -> int:
    """Submit the run and tell how it goes until it has ended; returns the exit status."""
    from pruneviz.strategies import names

    if args.strategy not in names():  # before torch is loaded, which takes seconds
        raise UnknownNameError("strategy", args.strategy, names())
    name, given = data_of(args)
    threads_of(args)
    whole("--seed", args.seed, 0)
    if args.target_macs is not None:
        check_target(args)
    from pruneviz.strategies import find_strategy

    strategy = find_strategy(args.strategy)
    if args.options:
        describe(strategy)
        return 0
    from pruneviz.catalog import load_dataset, options_for
    from pruneviz.jobs.views import RunSpec

    options = options_of(strategy, args)
    source = model_of(args)
    data = load_dataset(name, **options_for(source, name, given))
    spec = RunSpec(
        kind="strategy",
        model=source.to_dict(),
        data=data.source,
        options={"strategy": strategy.name, **options},
        name=args.name or f"{args.model}: {strategy.title}",
    )
    with service_of(args) as service:
        run_id = service.submit(spec)
        say(
            args,
            (f"Run '{spec.name}', stored in {service.home} and shown on the studio's page Runs."),
        )
        run = follow(service, run_id)
        if run is None:
            say(args, ("\nStopped. The studio's page Runs can resume it from its last checkpoint."))
            return STOPPED
        return report(args, service, run)


def options_of(strategy: Strategy, args: argparse.Namespace) -> dict[str, Any]:
    """What the run is to be given, checked as the strategy does it."""
    own = values_of(strategy, args.set)
    if args.epochs is not None:
        own["epochs"] = args.epochs
    strategy.make_options(own)
    if args.target_macs is not None:
        if not strategy.takes_target:
            raise InvalidValueError(
                f"Strategy '{strategy.name}' has no MACs target; leave out --target-macs."
            )
        own["target_macs"] = args.target_macs
    return {**own, "seed": args.seed}


def values_of(strategy: Strategy, pairs: Sequence[str]) -> dict[str, Any]:
    """The options that `--set NAME=VALUE` gave."""
    known = {info.name: info for info in strategy.fields}
    own: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise InvalidValueError(f"--set takes NAME=VALUE, but got '{pair}'.")
        if name not in known:
            raise UnknownNameError(f"option of strategy '{strategy.name}'", name, known)
        own[name] = value_of(known[name], text)
    return own


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
        raise InvalidValueError(f"Option '{info.name}' must be true or false, but got '{text}'.")
    try:
        return int(text) if info.kind == "int" else float(text)
    except ValueError:
        kind = "a whole number" if info.kind == "int" else "a number"
        raise InvalidValueError(f"Option '{info.name}' must be {kind}, but got '{text}'.") from None


def describe(strategy: Strategy) -> None:
    """Print what a strategy does, and its options with their defaults."""
    print(f"{strategy.name}: {strategy.help}" + (f" {strategy.paper}" if strategy.paper else ""))
    for info in strategy.fields:
        choices = f" One of: {', '.join(info.choices)}." if info.choices else ""
        print(f"  {info.name}={info.default}  {info.help}{choices}")


def report(args: argparse.Namespace, service: JobService, run: RunView) -> int:
    """Say how the run ended; 0 where it is done, 2 where it failed, 1 otherwise."""
    if run.status != "done":
        return unfinished(run)
    results = service.results(run.id)
    cost, before, after = results["cost"], results["baseline"], results["after"]
    say(
        args,
        f"Done in {run.seconds:.0f} s: top-1 {before['accuracy']:.2%} -> {after['accuracy']:.2%} "
        f"on {after['count']} validation images, {cost['macs'] / cost['baseline_macs']:.1%} of the "
        f"MACs and {cost['params'] / cost['baseline_params']:.1%} of the parameters left.",
    )
    say(args, f"Weights and plan: {service.files(run.id)}")
    facts = {"id": run.id, "name": run.name, "status": run.status, "seconds": run.seconds}
    deliver(args, {**results, **facts, "folder": str(service.files(run.id))})
    return 0

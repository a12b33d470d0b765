"""The `pruneviz` command: without a verb it opens the studio, each verb is a module of its own.

A verb's module has `add_arguments(parser)` and `obey(args)`, which returns the exit status. It
imports nothing heavy before it obeys, so that `pruneviz --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple, Protocol

from pruneviz import bars
from pruneviz.commands import (
    apply,
    deployment,
    export,
    lab,
    race,
    run,
    serve,
    store,
    studio,
    study,
    tour,
    trust,
    worker,
)
from pruneviz.commands.output import add_json, deliver, say, stop_writing
from pruneviz.errors import PruneVizError


class Module(Protocol):
    """What the module of a verb offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Give a parser the command's options."""

    def obey(self, args: argparse.Namespace) -> int:
        """Do what the arguments say; return the exit status."""


class Verb(NamedTuple):
    """One command: its module, one line of help, and an example."""

    name: str
    module: Module
    help: str
    example: str


VERBS = (
    Verb("tour", tour, "copy the tour notebook here", "tour notebooks"),
    Verb(
        "run",
        run,
        "prune a network with a strategy and watch it run",
        "run taylor --model resnet20 --data digits --target-macs 0.5 --epochs 3",
    ),
    Verb(
        "race",
        race,
        "compare strategies on the same budget and seeds",
        "race taylor uniform control --epochs 2 --seeds 0 1 --json > race.json",
    ),
    Verb(
        "study",
        study,
        "measure whether pretraining helps pruning, as a queue of many runs",
        "study --model vgg16 mobilenet_v2 --data digits --seeds 0 1",
    ),
    Verb("lab", lab, "test the papers' claims", "lab run oracle --model vgg16"),
    Verb(
        "trust",
        trust,
        "check whether the repaired accuracy predicts the fine-tuned one",
        "trust --model resnet20 --plans 24 --out trust.json",
    ),
    Verb(
        "export",
        export,
        "export a run's network as files that run without PruneViz",
        "export 1a2b --out exported --formats onnx,python",
    ),
    Verb(
        "apply",
        apply,
        "repeat every step of a recipe",
        "apply recipe.json --out exported --report",
    ),
    Verb(
        "store",
        store,
        "clean up the store for the files of runs",
        "store gc --dry-run --store s3://bucket/pruneviz",
    ),
    Verb(
        "worker",
        worker,
        "execute the runs of studios that share a scheduler",
        "worker --scheduler tcp://host:8786 --workers 2",
    ),
    Verb(
        studio.COMMAND,
        studio,
        "open the studio on a network of your own (the word studio is optional)",
        "studio mymodule.py:make_model --data folder",
    ),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="pruneviz",
        allow_abbrev=False,  # --data of a command is not this one's --data-root or --database
        description=(
            "See a CNN's filters, decide which to prune, and watch what that costs and gains. "
            "Without a command, opens the studio in the browser."
        ),
    )
    serve.add_arguments(parser)
    parser.set_defaults(run=serve.obey)
    commands = parser.add_subparsers(title="commands", metavar="")

    def add(name: str, says: str, example: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(
            name,
            help=says,
            description=f"{says[0].upper()}{says[1:]}.",
            epilog=f"example:\n  pruneviz {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return parser

    for verb in VERBS:
        added = add(verb.name, verb.help, verb.example)
        added.set_defaults(run=verb.module.obey)
        verb.module.add_arguments(added)
    told = add("version", "print the version", "version --json")
    told.set_defaults(run=show_version)
    add_json(told)
    return parser


def show_version(args: argparse.Namespace) -> int:
    """Print the version."""
    say(args, f"pruneviz {version('pruneviz')}")
    deliver(args, {"pruneviz": version("pruneviz")})
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one sentence on stderr and exit code 2."""
    bars.silence()  # commands tell how it goes in lines of their own
    try:
        try:
            return _obey(argv)
        finally:
            sys.stdout.flush()  # here rather than at the exit, where nobody could catch it
    except BrokenPipeError:  # `pruneviz lab list | head`
        stop_writing()
        return 128 + 13


def _obey(argv: Sequence[str] | None) -> int:
    args = build_parser().parse_args(studio.with_verb(sys.argv[1:] if argv is None else argv))
    try:
        deployment.settle(args)
        code: int = args.run(args)
    except PruneVizError as error:
        print(f"pruneviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"pruneviz: The disk is full ({error.filename or args.home}); free some space or "
            "choose another folder with --home.",
            file=sys.stderr,
        )
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())

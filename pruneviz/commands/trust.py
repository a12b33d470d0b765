"""`pruneviz trust`: what accuracies without training say of the one after fine-tuning.

The same command again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pruneviz.arguments import whole
from pruneviz.commands.output import add_json, deliver, progress, say, write
from pruneviz.commands.watch import add_subject, data_of, model_of, threads_of, use_threads
from pruneviz.errors import InvalidValueError

BUDGETS = (0.65, 0.5, 0.35, 0.2)

if TYPE_CHECKING:
    from pruneviz.studies.trust import Trust


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    add_subject(parser)
    parser.add_argument("--plans", type=int, default=60, help="plans to compare (default: 60)")
    parser.add_argument(
        "--epochs", type=int, default=1, help="epochs of fine-tuning per plan (default: 1)"
    )
    parser.add_argument("--train-images", type=int, help="training images per epoch (default: all)")
    parser.add_argument(
        "--reached-images", type=int, help="images to judge the result on (default: all)"
    )
    parser.add_argument(
        "--budgets",
        type=float,
        nargs="+",
        default=list(BUDGETS),
        help="fractions of the MACs that plans keep (default: 0.65 0.5 0.35 0.2)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed for drawing the plans (default: 0)"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU cores to use (default: 1)")
    parser.add_argument("--out", type=Path, help="file for the study as JSON")
    add_json(parser)


def obey(args: argparse.Namespace) -> int:
    """Measure every plan and print the table; returns the exit status."""
    name, given = data_of(args)
    threads_of(args)
    check(args)
    command = command_of(args)
    before = _before(args.out, command)
    use_threads(args)
    from pruneviz.catalog import load_dataset, options_for
    from pruneviz.studies.trust.measure import measure_trust

    source = model_of(args)

    def watch(trust: Trust) -> None:
        done = len(trust.points)
        progress(f"{done} of {args.plans} plans: {asdict(trust.points[-1])}")
        if args.out is not None:
            write(args.out, replace(trust, command=command, commit=commit()).to_json())

    data = load_dataset(name, **options_for(source, name, given))
    if args.root:  # an image folder by its own name
        data = replace(data, name=Path(args.root).stem)
    trust = measure_trust(
        source.load(),
        data,
        network=args.model,
        plans=args.plans,
        epochs=args.epochs,
        train_images=args.train_images,
        reached_images=args.reached_images,
        budgets=args.budgets,
        seed=args.seed,
        before=before,
        watch=watch,
    )
    say(args, trust.to_frame().to_string(index=False, float_format=lambda x: f"{x:.2f}"))
    deliver(args, json.loads(trust.to_json()))
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse values that make no sense, before anything slow is loaded.

    Raises:
        InvalidValueError: one of them is out of range.
    """
    whole("--plans", args.plans)
    whole("--epochs", args.epochs, 0)
    whole("--seed", args.seed, 0)
    for name in ("train_images", "reached_images"):
        if getattr(args, name) is not None:
            whole(f"--{name.replace('_', '-')}", getattr(args, name))
    for budget in args.budgets:
        if not 0 < budget <= 1:
            raise InvalidValueError(
                "--budgets are fractions of the MACs to keep, above 0 and at most 1, but got "
                f"{budget:g}."
            )


def command_of(args: argparse.Namespace) -> str:
    """The command that measures the same again; folders by their names alone."""
    parts = [f"pruneviz trust --model {args.model}"]
    if args.weights:
        parts.append(f"--weights {Path(args.weights).name}")
    parts.append(f"--data {Path(args.data).name}")
    if args.root:
        parts.append(f"--root {Path(args.root).name}")
    budgets = " ".join(f"{budget:g}" for budget in args.budgets)
    parts.append(f"--plans {args.plans} --epochs {args.epochs} --budgets {budgets}")
    if args.train_images:
        parts.append(f"--train-images {args.train_images}")
    if args.reached_images:
        parts.append(f"--reached-images {args.reached_images}")
    return " ".join([*parts, f"--seed {args.seed}"])


def commit() -> str:
    """The commit that measures."""
    from pruneviz import machine

    return machine.commit(".")


def _before(path: Path | None, command: str) -> Trust | None:
    """What a stopped study of the same command left."""
    from pruneviz.studies.trust import Trust

    if path is None or not path.exists():
        return None
    before = Trust.from_json(path.read_bytes())
    if before.command != command:
        raise InvalidValueError(
            f"'{path}' holds the study of another command ({before.command}); name another file "
            "with --out."
        )
    return before

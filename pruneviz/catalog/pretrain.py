"""Reproduce the bundled weights: train on CIFAR-10, transfer to digits, write weights and cards.

``python -m pruneviz.catalog.pretrain --data cifar10-jpeg.zip --out weights`` does all of it. If it
is stopped, the same command continues from the last epoch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from pruneviz import machine
from pruneviz.catalog.datasets import load_dataset
from pruneviz.catalog.mobilenet import mobilenet_v2
from pruneviz.catalog.resnet import resnet20
from pruneviz.catalog.vgg import vgg16
from pruneviz.data import DataSet
from pruneviz.training import EpochEvent, evaluate, fine_tune

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vgg16": vgg16,
    "mobilenet_v2": mobilenet_v2,
    "resnet20": resnet20,
}
STAGES = ("cifar10", "digits")
COMMAND = "python -m pruneviz.catalog.pretrain --data cifar10-jpeg.zip --out weights"
USUAL = {"model": "all", "stage": "all", "epochs": None, "seed": 0, "threads": 1}
BUNDLED = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """How one network is trained in one stage; bfloat16 where it was measured to be faster."""

    epochs: int
    lr: float
    batch_size: int
    mixed_precision: bool = False


RECIPES = {
    ("vgg16", "cifar10"): Recipe(24, 0.1, 128, mixed_precision=True),
    ("mobilenet_v2", "cifar10"): Recipe(10, 0.05, 64),
    ("resnet20", "cifar10"): Recipe(14, 0.1, 128, mixed_precision=True),
    ("vgg16", "digits"): Recipe(20, 0.05, 32),
    ("mobilenet_v2", "digits"): Recipe(20, 0.05, 32),
    ("resnet20", "digits"): Recipe(20, 0.05, 32),
}


def pretrain(
    name: str,
    stage: str,
    data: DataSet,
    out: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    start: Path | None = None,
    command: str = COMMAND,
) -> Path:
    """Train one network in one stage; write ``<name>-<stage>.safetensors`` and its card.

    ``start`` is a weights file to transfer from: all of it but the classifier, which starts from
    random values. Returns the path of the weights.
    """
    recipe = RECIPES[name, stage]
    epochs = recipe.epochs if epochs is None else epochs
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = NETWORKS[name]()
        if start is not None:
            model.load_state_dict(load_file(start))
            _reset_classifier(model)
    checkpoint = out / f"{name}-{stage}.checkpoint"
    state = torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None
    events = fine_tune(
        model,
        data,
        epochs=epochs,
        lr=recipe.lr,
        batch_size=recipe.batch_size,
        seed=seed,
        schedule="one-cycle",
        mixed_precision=recipe.mixed_precision,
        resume=state,
    )
    if state is not None:
        # A run that had finished yields no event; its weights are in the checkpoint.
        model.load_state_dict(state["model"])
    for event in events:
        assert isinstance(event, EpochEvent)
        partial = checkpoint.with_suffix(".partial")
        torch.save(event.state, partial)
        partial.replace(checkpoint)
        print(
            f"{name} {stage} {event.epoch}/{event.epochs}: loss {event.loss:.4f}, validation "
            f"{event.accuracy:.4f}, {event.seconds:.0f} s",
            flush=True,
        )
    path = out / f"{name}-{stage}.safetensors"
    _write_half(model, path)
    model.load_state_dict(load_file(path))
    card = _card(name, stage, model, data, path, seed, epochs, recipe, start, command)
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(card["accuracy"]), flush=True)
    checkpoint.unlink()
    return path


def _reset_classifier(model: nn.Module) -> None:
    """Reinitialise the last linear layer, as it had other classes."""
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    last.reset_parameters()


def _write_half(model: nn.Module, path: Path) -> None:
    tensors = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    # One entry only: several come in any order, and the same weights must give the same file.
    path.write_bytes(save(tensors, metadata={"weights": path.stem}))


def _card(
    name: str,
    stage: str,
    model: nn.Module,
    data: DataSet,
    path: Path,
    seed: int,
    epochs: int,
    recipe: Recipe,
    start: Path | None,
    command: str,
) -> dict[str, Any]:
    """What a reader must know about a weights file; the accuracy is that of the stored half
    precision.
    """
    accuracy = {}
    for split in ("val", "test") if data.test is not None else ("val",):
        result = evaluate(model, data, split=split)
        accuracy[split] = {"top1": round(result.accuracy, 4), "images": result.count}
    needs_data = stage == "cifar10"
    return {
        "model": name,
        "weights": stage,
        "trained_on": "CIFAR-10, re-compressed as JPEG" if needs_data else "scikit-learn digits",
        "started_from": start.stem if start is not None else "random values",
        "command": command,
        "seed": seed,
        "epochs": epochs,
        "learning_rate": recipe.lr,
        "batch_size": recipe.batch_size,
        "training_images": len(data.train),
        "augmentation": data.augment,
        "mixed_precision": recipe.mixed_precision,
        "accuracy": accuracy,
        "parameters": sum(p.numel() for p in model.parameters()),
        "precision": "float16",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "commit": machine.commit(),
        "machine": machine.described(),
    }


def _command(options: argparse.Namespace) -> str:
    """The command that was given, without paths; it reproduces the weights."""
    words = [COMMAND]
    for key, usual in USUAL.items():
        if (value := getattr(options, key)) != usual:
            words.append(f"--{key} {value}")
    return " ".join(words + ["--from-scratch"] * options.from_scratch)


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m pruneviz.catalog.pretrain", description=__doc__
    )
    parser.add_argument("--model", choices=[*NETWORKS, "all"], default="all")
    parser.add_argument("--stage", choices=[*STAGES, "all"], default="all")
    parser.add_argument("--data", type=Path, help="zip of CIFAR-10 images (stage cifar10)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--from-scratch", action="store_true", help="digits: start from random values"
    )
    options = parser.parse_args(None if arguments is None else list(arguments))
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    stages = STAGES if options.stage == "all" else (options.stage,)
    if "cifar10" in stages and options.data is None:
        parser.error("stage cifar10 needs --data, a zip of CIFAR-10 images")
    roots = {"cifar10": {"root": options.data}, "digits": {}}
    data = {stage: load_dataset(stage, **roots[stage]) for stage in stages}
    for name in NETWORKS if options.model == "all" else [options.model]:
        for stage in stages:
            start = None
            if stage == "digits" and not options.from_scratch:
                made = options.out / f"{name}-cifar10.safetensors"
                start = made if made.exists() else BUNDLED / made.name
            pretrain(
                name,
                stage,
                data[stage],
                options.out,
                seed=options.seed,
                epochs=options.epochs,
                start=start,
                command=_command(options),
            )


if __name__ == "__main__":
    main()

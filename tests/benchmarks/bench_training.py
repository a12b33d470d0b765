"""Fine-tuning ResNet-20 on a folder of JPEG images: PruneViz against the usual loop.

``python -m tests.benchmarks.bench_training cifar10-jpeg.zip`` unpacks some of the images to a
temporary folder and trains each way, three epochs a seed, in turns. The usual loop is torchvision's
``ImageFolder`` with transforms, a ``DataLoader`` with two workers that stay alive, and SGD. Both
get the same start, images, augmentation, optimiser, schedule and number of threads, so accuracy
must agree; what is compared is images a second, decoding and validation included. Ratios are what
counts: the figures themselves belong to the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pruneviz.catalog.datasets import load_dataset
from pruneviz.catalog.resnet import resnet20
from pruneviz.data import MEAN, STD, DataSet
from pruneviz.training import EpochEvent, Settings, fine_tune, learning_rate

LR = 0.1


@dataclass(frozen=True)
class Outcome:
    """Seconds of each epoch and the final validation accuracy (0..1)."""

    seconds: tuple[float, ...]
    accuracy: float


def unpack(archive: Path, folder: Path, train: int, val: int) -> None:
    """Write that many images of each split, the classes balanced: ``train/`` and ``val/``."""
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if n.endswith(".jpg"))
        classes = {name.split("/")[1] for name in names}
        taken: Counter[str] = Counter()
        for name in names:
            split, label, image = name.split("/")
            wanted = (train if split == "train" else val) // len(classes)
            if taken[f"{split}/{label}"] < wanted:
                taken[f"{split}/{label}"] += 1
                target = folder / ("train" if split == "train" else "val") / label / image
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read(name))


def start(seed: int) -> nn.Module:
    """The network that both begin with."""
    torch.manual_seed(seed)
    return resnet20()


def usual(folder: Path, seed: int, epochs: int, batch_size: int, workers: int) -> Outcome:
    """What one would write: ImageFolder, transforms, DataLoader with workers, SGD."""
    model = start(seed)
    as_tensor = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    options = {"num_workers": workers, "persistent_workers": workers > 0}
    train = DataLoader(
        ImageFolder(folder / "train", transforms.Compose(augment + as_tensor)),
        batch_size,
        shuffle=True,
        **options,
    )
    val = DataLoader(ImageFolder(folder / "val", transforms.Compose(as_tensor)), 256, **options)
    schedule = settings(epochs, batch_size, seed)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}],
        lr=LR,
        momentum=0.9,
        nesterov=True,
    )
    loss_of = nn.CrossEntropyLoss()
    seconds, right = [], 0
    for epoch in range(epochs):
        began = time.perf_counter()
        model.train()
        for step, (x, y) in enumerate(train):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(schedule, (epoch + step / len(train)) / epochs)
            optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in val)
        seconds.append(time.perf_counter() - began)
    return Outcome(tuple(seconds), right / len(val.dataset))


def settings(epochs: int, batch_size: int, seed: int) -> Settings:
    """What `ours` passes to `fine_tune`, for the usual loop to follow."""
    return Settings(
        epochs, LR, batch_size, seed, "sgd", "cosine", 0.9, 5e-4, 0.0, "crop-flip", None, False
    )


def ours(
    data: Callable[[], DataSet], seed: int, epochs: int, batch_size: int, mixed: bool
) -> Outcome:
    """The same with `fine_tune`; the time to load the images counts for the first epoch."""
    began = time.perf_counter()
    loaded = data()
    loading = time.perf_counter() - began
    events = [
        event
        for event in fine_tune(
            start(seed),
            loaded,
            epochs=epochs,
            lr=LR,
            batch_size=batch_size,
            seed=seed,
            mixed_precision=mixed,
            device="cpu",
        )
        if isinstance(event, EpochEvent)
    ]
    seconds = [event.seconds for event in events]
    return Outcome((seconds[0] + loading, *seconds[1:]), events[-1].accuracy)


def compare(
    folder: Path, *, epochs: int, seeds: int, batch_size: int, workers: int
) -> dict[str, list[Outcome]]:
    """Each way once a seed, the order turned each time."""

    def load() -> DataSet:
        return load_dataset("folder", root=folder, size=32)

    ways: dict[str, Callable[[int], Outcome]] = {
        "usual loop": lambda seed: usual(folder, seed, epochs, batch_size, workers),
        "PruneViz": lambda seed: ours(load, seed, epochs, batch_size, False),
        "PruneViz, bfloat16": lambda seed: ours(load, seed, epochs, batch_size, True),
    }
    outcomes: dict[str, list[Outcome]] = {name: [] for name in ways}
    for seed in range(seeds):
        names = list(ways)
        for name in names[seed % 3 :] + names[: seed % 3]:
            outcomes[name].append(ways[name](seed))
            last = outcomes[name][-1]
            timed = ", ".join(f"{s:.1f}" for s in last.seconds)
            print(f"seed {seed}, {name}: {timed} s, accuracy {last.accuracy:.3f}", flush=True)
    return outcomes


def main() -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="zip of train/<class>/*.jpg and test/...")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--val", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="torch's threads; its default unless given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        # A fresh cache, so that the first load pays for its decoding.
        os.environ["PRUNEVIZ_CACHE"] = str(Path(name) / "cache")
        folder = Path(name) / "images"
        unpack(options.archive, folder, options.images, options.val)
        outcomes = compare(
            folder,
            epochs=options.epochs,
            seeds=options.seeds,
            batch_size=options.batch_size,
            workers=options.workers,
        )
    reference = outcomes["usual loop"]
    for name, found in outcomes.items():
        rest = statistics.median(s for outcome in found for s in outcome.seconds[1:])
        ratios = [
            sum(base.seconds) / sum(outcome.seconds)
            for base, outcome in zip(reference, found, strict=True)
        ]
        print(
            f"{name}: {statistics.median(ratios):.2f} times the usual loop's images a second "
            f"({min(ratios):.2f} to {max(ratios):.2f}), {options.images / rest:.0f} images a "
            f"second after the first epoch, accuracy "
            f"{statistics.mean(outcome.accuracy for outcome in found):.3f}"
        )


if __name__ == "__main__":
    main()

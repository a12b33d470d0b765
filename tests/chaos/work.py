"""Small runs of every kind that takes long, and what they leave, to be compared bit by bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pruneviz.catalog import ModelSource
from pruneviz.jobs import RunSpec, RunStore

KINDS = ("fine_tune", "taylor", "genetic", "scan", "race", "study")
TIMED = {"seconds", "time", "duration", "images_per_second"}
"""What differs between two runs that are otherwise the same."""


def images(root: Path) -> Path:
    """Write two classes of stripes, upright and lying, with noise."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 12), ("test", 10)):
        for name in ("lying", "upright"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = noise.integers(0, 120, (32, 32, 3))
                stripes = image if name == "lying" else image.transpose(1, 0, 2)
                stripes[::2] += 130
                Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def spec(kind: str, root: Path, epochs: int) -> RunSpec:
    """Return a run of a kind that takes some seconds."""
    model = ModelSource("resnet20", "digits", 2).to_dict()
    data = {"name": "folder", "options": {"root": str(root), "size": 32}}
    train: dict[str, Any] = {"epochs": epochs, "batch_size": 16}
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "fine_tune": ("fine_tune", train),
        "taylor": (
            "strategy",
            {"strategy": "taylor", "target_macs": 0.8, "iterations": 4, "updates": 2,
             "update_batch": 8, **train},
        ),
        "genetic": (
            "strategy",
            {"strategy": "genetic", "population": 4, "generations": 3, "images": 16, **train},
        ),
        "scan": ("sensitivity", {"ratios": [0.25, 0.5], "batch_size": 8}),
        "race": (
            "race",
            {"strategies": ["random", "uniform"], "strategy": "uniform", "seed": 1,
             "epochs": 2, "target_macs": 0.7},
        ),
        "study": ("pretraining_study", {"epochs_before": 1, "epochs": 1, "sparsities": 2}),
    }  # fmt: skip
    name, given = options[kind]
    return RunSpec(name, model, data, None, given, name=kind)


def left(store: RunStore, run_id: str) -> dict[str, Any]:
    """Return what a run has left: results, history, and the digests of its files."""
    folder = store.directory(run_id)
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*"))
        if path.suffix in (".safetensors", ".json") and path.is_file()
    }
    rows = [
        (row.level, row.epoch, row.step, row.loss, row.accuracy, row.val_loss, row.macs)
        for row in store.metrics(run_id)
        if row.level != "batch"  # one in so many seconds
    ]
    results = timeless(store.results(run_id))
    return {"files": files, "rows": rows, "results": json.dumps(results, sort_keys=True)}


def timeless(value: Any) -> Any:
    """Return a result without what was measured by the clock."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMED and k != "notices"}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return value

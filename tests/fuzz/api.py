"""Public functions with arguments of the wrong type, range or network."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from tests.fuzz.trials import Trial

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 0.5, 1.5, -0.1, math.nan, math.inf, 10**30, "", "0.5", "l1",
    "conv1", "x" * 3_000_000, b"x", b"", [], [0], [-1], ["a"], [[0]], (), {}, {"a": 1}, set(),
    object(), np.array([0, 1]), np.array(0.5), np.float32(0.3), torch.tensor(0.5),
    torch.zeros(2, 3), int, 1j, Path("x"), range(3), range(10**6), "caf\udce9", "\0", "x/" * 3_000,
)  # fmt: skip


class Small(nn.Module):
    """A small network with a tie; another width is another network."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        return self.head((x + self.conv2(x)).mean((2, 3)))


def small_data(classes: int = 3, side: int = 8) -> DataSet:
    """Noise in so many classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 3, side, side), generator=generator, dtype=torch.uint8)
    split = ImageSet(pixels, torch.arange(24) % classes)
    names = tuple(f"class {i}" for i in range(classes))
    return DataSet("noise", split, split, None, names, (3, side, side), {"name": "noise"})


class World:
    """Things that fit together, and their like of other networks and data sets."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model, self.other = Small(6).eval(), Small(5).eval()
        self.graph = pv.trace(self.model, (3, 8, 8))
        self.foreign = pv.trace(self.other, (3, 8, 8))
        self.data = small_data()
        self.rank = pv.rank(self.model, self.graph, self.data, ["l1", "taylor"], images=12)
        self.plan = pv.Plan(self.graph).drop("conv1", [0])
        self.strangers: tuple[Any, ...] = (
            self.model, self.other, self.graph, self.foreign, self.data, self.rank,
            pv.rank(self.other, self.foreign, None, "l1"), self.plan,
            pv.Plan(self.foreign).drop("conv1", [0]), small_data(2), small_data(5, 4),
            nn.Linear(2, 2), nn.Identity(), nn.Sequential(),
        )  # fmt: skip

    def calls(self) -> dict[str, tuple[Callable[..., object], dict[str, Any]]]:
        """Public functions with arguments that they take."""
        both = {"model": self.model, "graph": self.graph}
        quick = {"repeats": 3, "seconds": 0.01}
        group = self.graph.prunable_groups[0].name
        return {
            "trace": (pv.trace, {"model": self.model, "example": (3, 8, 8)}),
            "Plan": (pv.Plan, {"graph": self.graph, "dropped": (0,)}),
            "drop": (self.plan.drop, {"layer": "conv1", "filters": [1]}),
            "keep": (self.plan.keep, {"layer": "conv1", "filters": [1]}),
            "drop_units": (self.plan.drop_units, {"units": [1]}),
            "dropped_filters": (self.plan.dropped_filters, {"layer": "conv1"}),
            "Plan.from_json": (pv.Plan.from_json, {"graph": self.graph, "text": ""}),
            "Ranking.from_json": (pv.Ranking.from_json, {"graph": self.graph, "text": ""}),
            "unit_of": (self.graph.unit_of, {"layer": "conv1", "filter": 1}),
            "members": (self.graph.members, {"unit": 1}),
            "layer": (self.graph.layer, {"name": "conv1"}),
            "of": (self.rank.of, {"criterion": "l1"}),
            "correlation": (self.rank.correlation, {"a": "l1", "b": "taylor", "per": "group"}),
            "disagreements": (self.rank.disagreements, {"a": "l1", "b": "taylor", "n": 3}),
            "threshold": (
                pv.threshold,
                {"graph": self.graph, "rank": self.rank, "criterion": "l1", "ratio": 0.5}
                | {"scope": "group", "protected": (), "multiple_of": 1},
            ),
            "cost": (pv.cost, {"graph": self.graph, "plan": self.plan}),
            "mask": (pv.mask, both | {"plan": self.plan}),
            "prune": (pv.prune, both | {"plan": self.plan}),
            "rank": (
                pv.rank,
                both
                | {"data": self.data, "criteria": ["l1"]}
                | {"images": 8, "batch_size": 4, "seed": 0},
            ),
            "evaluate": (
                pv.evaluate,
                {"model": self.model, "data": self.data}
                | {"split": "val", "batch_size": 8, "limit": 9},
            ),
            "recalibrate": (
                pv.recalibrate,
                {"model": Small(), "data": self.data, "images": 8, "batch_size": 4, "seed": 0},
            ),
            "sensitivity": (
                partial(drain, pv.sensitivity),
                both
                | {"data": self.data, "rank": self.rank, "criterion": "l1", "ratios": (0.5,)}
                | {"images": 9, "split": "val", "groups": None},
            ),
            "fine_tune": (
                partial(drain, pv.fine_tune),
                {"model": Small(), "data": self.data, "optimizer": "sgd", "schedule": "cosine"}
                | {"epochs": 1, "lr": 0.01, "batch_size": 8, "seed": 0, "momentum": 0.9}
                | {"weight_decay": 0.0, "label_smoothing": 0.0, "augment": None, "resume": None}
                | {"patience": None},
            ),
            "run_strategy": (
                partial(drain, pv.run_strategy),
                {"name": "uniform", **both, "data": self.data}
                | {"target_macs": 0.5, "seed": 0, "epochs": 0},
            ),
            "measure_latency": (
                pv.measure_latency,
                {"models": {"a": self.model}, "input_shape": (3, 8, 8), "batch_size": 1} | quick,
            ),
            "latency": (pv.latency, both | {"plan": self.plan} | quick),
            "width_latency": (
                pv.width_latency,
                both | {"group": group, "widths": (2,), "plan": None} | quick,
            ),
            "load_model": (
                pv.load_model,
                {"name": "resnet20", "weights": None, "num_classes": 3},
            ),
            "load_dataset": (pv.load_dataset, {"name": "digits", "size": 16}),
            "load_folder": (
                pv.load_dataset,
                {"name": "folder", "root": "nowhere", "size": 16, "val": 0.2, "seed": 0}
                | {"limit": 3, "cache_bytes": 10**6},
            ),
            "ImageSet": (
                ImageSet,
                {"images": self.data.train.images, "labels": self.data.train.labels},
            ),
            "first": (self.data.val.first, {"n": 3}),
            "batches": (
                partial(drain, self.data.val.batches),
                {"batch_size": 4, "shuffle_seed": 0, "augment": "crop"},
            ),
        }


def drain(function: Callable[..., Iterable[object]], **arguments: Any) -> None:
    """Call what gives results as it runs, and take them all."""
    for _ in function(**arguments):
        pass


def trials(rng: random.Random, folder: Path) -> Iterator[Trial]:
    """A public function with one or two arguments exchanged."""
    world = World()
    calls = world.calls()
    odd = (*ODD, *world.strangers)
    while True:
        name = rng.choice(list(calls))
        function, arguments = calls[name]
        changed = rng.sample(list(arguments), min(len(arguments), rng.choice((1, 1, 2))))
        given = {argument: rng.choice(odd) for argument in changed}
        what = ", ".join(f"{argument}={_short(value)}" for argument, value in given.items())
        yield f"{name}({what})", partial(function, **{**arguments, **given})


def _short(value: object) -> str:
    text = f"<{type(value).__name__}>" if isinstance(value, nn.Module) else ascii(value)
    return text if len(text) < 60 else f"{text[:60]}…"

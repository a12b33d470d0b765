"""The lab: claims as data, and parts that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet, ImageSet
from pruneviz.plan import Plan
from pruneviz.studies.papers import (
    LabResult,
    claims,
    evolution,
    find_claim,
    oracle,
    pretraining,
    setting,
)
from pruneviz.studies.papers import (
    binary_search as widths,
)
from pruneviz.studies.papers.evolution import hypervolume
from pruneviz.studies.papers.setting import Bench, with_test
from pruneviz.trace import trace


def small(count: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.arange(count) % 10)


@pytest.fixture
def data() -> DataSet:
    return DataSet(
        name="digits",
        train=small(64, 0),
        val=small(40, 1),
        test=None,
        classes=tuple("0123456789"),
        input_shape=(3, 32, 32),
        source={"name": "digits", "options": {}},
        augment=None,
    )


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, stride=4)
        self.n = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 6, 3)
        self.c = nn.Linear(6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(torch.relu(self.b(torch.relu(self.n(self.a(x))))).mean((2, 3)))


@pytest.fixture
def bench(data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Every experiment on a network of ten filters."""

    def model(self: Bench, weights: str | None = None) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Net().eval()

    monkeypatch.setattr(Bench, "model", model)
    return Bench("net", with_test(data), "minutes", (0, 1), tmp_path / "parts", lambda text: None)


def test_a_curve_of_pruning_is_measured_on_few_balanced_images(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def nothing(replay: Any, images: Any, plans: Any) -> Any:
        seen.append(images)
        yield [SimpleNamespace(correct=len(images) / 2) for _ in plans]

    monkeypatch.setattr(oracle, "CURVES", {"minutes": 10})
    monkeypatch.setattr(oracle, "scan", nothing)
    model = bench.model()
    graph = bench.graph(model)
    curve = oracle._pruned(bench, model, graph, np.arange(graph.num_units, dtype=float))
    (images,) = seen
    assert curve == [0.5] * 9
    assert len(images) == 10 < len(bench.data.split("test"))
    counts = images.labels.bincount()
    assert counts.max() - counts.min() <= 1


def test_held_out_images_are_disjoint_and_balanced(data: DataSet) -> None:
    split = with_test(data)
    assert split.test is not None
    assert len(split.val) == len(split.test) == 20
    assert torch.bincount(split.test.labels).tolist() == [2] * 10
    seen = {bytes(x.flatten().tolist()) for x in (*split.val.images, *split.test.images)}
    assert len(seen) == 40
    assert split.digest != data.digest
    assert with_test(split) is split
    fresh = with_test(data, trained=False)
    assert fresh.test is data.val
    assert len(fresh.train) + len(fresh.val) == len(data.train)
    assert len(fresh.val) == 13


def test_parts_are_done_once(bench: Bench) -> None:
    calls: list[int] = []

    def work(value: int) -> dict[str, int]:
        calls.append(value)
        return {"value": value}

    assert bench.part("one", work, 3) == {"value": 3}
    again = Bench("net", bench.data, "minutes", (0,), bench.keep, lambda text: None)
    assert again.part("one", work, 4) == {"value": 3}
    assert calls == [3]
    # Other settings, other parts; and a commit at which nothing was done says nothing.
    other = Bench("net", bench.data, "minutes", (0,), bench.keep, about={"limit": 5})
    assert other.part("one", work, 4) == {"value": 4}
    bench.keep.write_text(json.dumps({"about": {}, "commit": "old"}))
    fresh = Bench("net", bench.data, "minutes", (0,), bench.keep, lambda text: None)
    assert fresh.part("commit", lambda: "new") == "new"


def test_few_images_are_gone_through_more_often(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(bench.data.train) == 64
    assert bench.epochs(3) == 3
    monkeypatch.setattr(setting, "EPOCH", 1297)
    assert bench.epochs(3) == 61  # 3 * 1297 = 60.8 * 64
    monkeypatch.setattr(setting, "EPOCH", 60)
    assert bench.epochs(3) == 3


@pytest.mark.parametrize("rival", widths.RIVALS)
@pytest.mark.parametrize("holding", range(5))
def test_a_rival_goes_as_far_as_accuracy_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, holding: int, rival: str
) -> None:
    monkeypatch.setattr(widths, "REDUCTIONS", (0.2, 0.4, 0.6, 0.8))
    tried = []

    def prune(name: str, strategy: str, seed: int, options: dict[str, Any]) -> dict[str, float]:
        gone = round(1 - options["target_params"], 3)
        tried.append(gone)
        val = 0.9 if gone <= 0.2 * holding else 0.8
        return {"val": val, "test": 0.7, "params": 1 - gone, "passes": options["epochs"]}

    monkeypatch.setattr(bench, "prune", prune)
    # Three trials of five epochs each spend the search's 15.2 passes, whatever was found.
    assert len(widths.REDUCTIONS).bit_length() == 3
    best = widths._furthest(bench, rival, 0, widths.share_of(15.2), {"val": 0.905, "test": 0.9})
    assert best["passes"] == 5 * len(tried) >= 10
    assert 1 - best["params"] == pytest.approx(0.2 * holding)
    assert len(tried) <= 3


def test_both_readings_of_the_baseline() -> None:
    def run(shift: float) -> list[dict[str, Any]]:
        # From scratch nothing was learned, and nothing can be lost.
        curves = {"pretrained": (0.9, 0.895, 0.885), "scratch": (0.5, 0.5, 0.5)}
        return [
            {
                "start": start, "removed": 0.3 * k, "macs": 1, "params": 1,
                "accuracy": accuracy + shift, "test_accuracy": accuracy,
            }
            for start, accuracies in curves.items()
            for k, accuracy in enumerate(accuracies)
        ]  # fmt: skip

    found, readings = pretraining.judge([run(0.0), run(0.05)])
    assert found[0].seeds == pytest.approx((0.3, 0.3))
    assert found[1].seeds == pytest.approx((0.6, 0.6))
    assert found[0].detail["within_better"] == pytest.approx([0.3, 0.3])
    assert found[1].detail["within_better"] == [0.0, 0.0]
    assert [holds for _, holds in readings] == [False, True]


@pytest.mark.parametrize(
    ("asked", "on", "taken"),
    [(None, "digits", "cifar10"), (None, "cifar10", "imagenet"), ("imagenet", "own", "imagenet")],
)
def test_the_study_starts_from_the_weights_that_were_asked_for(
    asked: str | None, on: str, taken: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str | None] = []

    def no_study(*_: Any, **__: Any) -> Any:
        for start in ("pretrained", "scratch"):
            point = pretraining.StudyPoint(start, 0.0, 1, 1, 0.5, 0.5)
            points.append(point)
        yield SimpleNamespace(progress=1.0, points=tuple(points))

    points: list[Any] = []
    monkeypatch.setattr(Bench, "model", lambda _, weights: loaded.append(weights))
    monkeypatch.setattr(Bench, "graph", lambda _, model: None)
    monkeypatch.setattr(pretraining, "run_study", no_study)
    own = Bench("net", replace(bench.data, name=on), "minutes", (0,), None, print, asked)
    _, _, settings = pretraining.run(own)
    assert loaded == [settings["pretrained_on"]] == [taken]


QUICK: dict[str, tuple[str, dict[str, Any]]] = {
    "oracle": ("IMAGES", {"minutes": 32}),
    "interleaved": ("EPOCHS", {"minutes": 2}),
    "soft": ("EPOCHS", {"minutes": 1}),
    "widths": ("EPOCHS", {"minutes": 1}),
    "evolution": ("SIZE", {"minutes": (4, 1)}),
    "evolved": ("SIZE", {"minutes": (4, 1)}),
    "soft_options": ("EPOCHS", {"minutes": 1}),
    "regrowth": ("MARKS", (0, 1, 3)),
    "updates": ("UPDATES", {"minutes": (1, 2)}),
    "pretraining": (
        "BUDGET",
        {"minutes": {"epochs_before": 1, "epochs": 1, "sparsities": 2, "largest": 0.4}},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("claim", [c.key for c in claims()])
def test_every_claim_can_be_run_and_stored(
    claim: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import import_module

    module = import_module(f"pruneviz.studies.papers.{find_claim(claim).module}")
    name, value = QUICK[claim]
    monkeypatch.setattr(module, name, value)
    if claim == "widths":
        monkeypatch.setattr(module, "UPDATES", {"minutes": 1})
        monkeypatch.setattr(module, "REDUCTIONS", (0.2, 0.4))
    if claim == "evolved":
        monkeypatch.setattr(module, "EPOCHS", {"minutes": 2})
    if claim == "soft_options":
        monkeypatch.setattr(module, "RATES", (0.3,))
        monkeypatch.setattr(module, "INTERVALS", ())
    findings, readings, settings = module.run(bench)
    assert findings
    assert readings
    for found in findings:
        assert len(found.seeds) == 2
        assert found.value == pytest.approx(sum(found.seeds) / 2)
        assert -1 <= found.value <= 1
    result = LabResult(
        claim, "net", "digits", "minutes", (0, 1), tuple(findings), tuple(readings), settings,
        "python -m pruneviz.lab run", "abc", "a machine", 1.5,
    )  # fmt: skip
    again = LabResult.from_json(result.to_json())
    assert again.to_json() == result.to_json()
    assert len(again.to_frame()) == len(findings)
    assert again.figure().data
    # Everything is in the notes: a second time nothing is computed.
    monkeypatch.setattr(setting, "run_strategy", None)
    monkeypatch.setattr(pretraining, "run_study", None)
    rest = Bench("net", bench.data, "minutes", (0, 1), bench.keep, lambda text: None)
    if claim not in ("oracle", "evolution"):
        assert module.run(rest)[1] == readings


def test_hypervolume_of_known_fronts() -> None:
    graph: ChannelGraph = trace(Net(), (3, 32, 32))
    whole = Plan(graph)
    part = whole.drop("b", [0, 1, 2])
    from pruneviz.cost import cost

    saved = 1 - cost(graph, part).macs_ratio
    assert hypervolume(graph, [whole], [0.9]) == 0
    assert hypervolume(graph, [part], [0.5]) == pytest.approx(0.5 * saved)
    assert hypervolume(graph, [whole, part], [0.9, 0.5]) == pytest.approx(0.5 * saved)
    more = part.drop("b", [3, 4])
    extra = 1 - cost(graph, more).macs_ratio
    area = hypervolume(graph, [more, part], [0.3, 0.5])
    assert area == pytest.approx(0.5 * saved + 0.3 * (extra - saved))
    # A dominated point adds nothing.
    assert hypervolume(graph, [more, part], [0.3, 0.2]) == pytest.approx(0.3 * extra)


def test_evaluations_are_spent_alike(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    judged = evolution.Judge.of

    def of(self: evolution.Judge, genes: np.ndarray) -> Any:
        asked.append(len(genes))
        return judged(self, genes)

    monkeypatch.setattr(evolution.Judge, "of", of)
    monkeypatch.setattr(evolution, "SIZE", {"minutes": (4, 2)})
    bench.seeds = (0,)
    settings = evolution.run(bench)[2]
    whole = settings["evaluations"]
    assert whole == 12
    assert asked[:9] == [4] * 9  # three evolutions of three generations
    assert asked[9] == whole
    assert asked[10] <= whole
    assert json.dumps(settings)

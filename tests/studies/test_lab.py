"""The lab: claims as data, parts that are kept, results that are stored and shown."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.commands.lab import main, table
from pruneviz.data import DataSet, ImageSet
from pruneviz.docs import chapter
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.figures.lab_details import details_figure, pruned_figure
from pruneviz.plan import Plan
from pruneviz.studies.papers import (
    LabResult,
    claims,
    evolution,
    find_claim,
    oracle,
    pretraining,
    results,
    setting,
)
from pruneviz.studies.papers import (
    binary_search as widths,
)
from pruneviz.studies.papers.evolution import hypervolume
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import Finding
from pruneviz.studies.papers.setting import Bench, finding, with_test
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


def test_a_network_with_a_path_makes_one_file() -> None:
    request = Request("oracle", network="torchvision/vgg16")
    assert request.name == "oracle-torchvision-vgg16-digits-minutes"
    result = replace(made(), network="hf//home/me/my-net")
    assert result.name == "oracle-hf-home-me-my-net-digits-minutes"


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


def made(values: tuple[float, float] = (0.5, 0.7)) -> LabResult:
    return LabResult(
        claim="oracle",
        network="vgg16",
        data="digits",
        scale="minutes",
        seeds=(0, 1),
        findings=(finding("taylor", list(values), extra=1),),
        readings=(("taylor 0.60 against l1 0.10", True), ("taylor 0.60 against l2 0.7", False)),
        settings={},
        command="python -m pruneviz.lab run oracle",
        commit="abc123",
        machine="a machine",
        seconds=3.0,
    )


def test_results_are_read_shown_and_tabled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{made().name}.json").write_text(made().to_json())
    (found,) = results(tmp_path)
    assert found == made()
    assert not found.holds
    beside = replace(found, findings=(finding("a", [0.5, 0.7], macs=[0.2, 0.4], name="x"),))
    frame = beside.to_frame()
    assert frame.columns.tolist() == ["what", "mean", "std", "seeds", "macs"]
    assert frame["macs"].tolist() == pytest.approx([0.3])
    assert found.findings == (Finding("taylor", 0.6, (0.5, 0.7), {"extra": 1}),)
    assert "**no**" in table([found])
    assert "abc123" in table([found])
    assert main(["list", "--folder", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "DOES NOT HOLD: taylor 0.60 against l2 0.7" in shown
    assert all(claim.title in shown for claim in claims())
    info = found.figure()
    assert list(info.data[0].x) == [0.5, 0.7]
    assert list(info.data[1].x) == [0.6]
    assert info.data[2].name == "published: Taylor, VGG-16 on Birds-200"
    assert list(info.data[2].x) == [0.73, 0.73]


def test_a_result_of_an_earlier_form_of_the_test_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = find_claim("oracle")
    assert made().outdated == claim.changed != ""
    now = replace(made(), settings={"form": claim.form})
    assert now.outdated == ""
    assert "earlier version" in table([made()])
    assert "earlier version" not in table([now])
    (tmp_path / "a.json").write_text(made().to_json())
    assert main(["list", "--folder", str(tmp_path)]) == 0
    assert f"without: {claim.changed}" in capsys.readouterr().out


def test_what_is_stored_in_the_package_can_be_read() -> None:
    for result in results():
        assert find_claim(result.claim)
        assert len(result.seeds) >= 1
        assert result.commit
        assert "lab run " + result.claim in result.command
        for found in result.findings:
            assert len(found.seeds) == len(result.seeds)
        assert "/" not in result.machine


def test_bad_names_and_texts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Choose one of"):
        find_claim("magic")
    with pytest.raises(InvalidValueError):
        LabResult.from_json("{}")
    with pytest.raises(InvalidValueError):
        LabResult.from_json("no")


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


def test_listing_needs_no_torch() -> None:
    code = "import sys, pruneviz.commands.lab as l; l.main(['list']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")


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


def test_the_documentation_has_the_stored_results() -> None:
    shown = chapter("lab").text.split("<!-- lab -->")[1].split("<!-- /lab -->")[0]
    assert shown.strip() == table(results()), "put in what `pruneviz lab table` prints"


def test_pruned_accuracy_is_drawn_by_criterion() -> None:
    assert pruned_figure(made()) is None
    found = replace(made(), findings=(finding("taylor", [0.5, 0.7], pruned=[0.9, 0.5, 0.1]),))
    (curve,) = pruned_figure(found).data
    assert list(curve.x) == pytest.approx([0.25, 0.5, 0.75])
    assert list(curve.y) == [0.9, 0.5, 0.1]


def test_a_second_picture_where_there_is_more_to_see() -> None:
    oracle = replace(
        made(),
        findings=(
            finding("taylor", [0.5], by_layer={"a": 0.1, "b": 0.2}),
            finding("l1", [0.4], by_layer={"b": 0.3, "c": 0.4}),
        ),
    )
    heat = details_figure(oracle).data[0]
    assert list(heat.x) == ["a", "b", "c"]
    assert [list(row) for row in heat.z] == [[0.1, 0.2, None], [None, 0.3, 0.4]]
    curves = [[(0.0, 0.9, 0.8), (0.5, 0.7, 0.6)], [(0.0, 0.9, 0.9), (0.5, 0.7, 0.8)]]
    study = replace(
        made(),
        claim="pretraining",
        findings=(finding("pretrained", [0.5, 0.5], curves=curves),),
    )
    band, line = details_figure(study).data
    assert list(band.x) == [0.0, 0.5, 0.5, 0.0]
    assert list(band.y) == pytest.approx([0.85, 0.85, 0.84, 0.84])  # the mean of 0.8 and 0.9
    assert list(line.x) == [0.0, 0.5]
    assert list(line.y) == pytest.approx([0.85, 0.7])
    assert list(line.error_y.array) == pytest.approx([0.05 * 2**0.5, 0.1 * 2**0.5])
    assert details_figure(replace(made(), claim="soft")) is None

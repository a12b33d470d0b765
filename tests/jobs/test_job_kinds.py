"""PruneViz's own kinds of runs, on a small network and a few images."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import pruneviz as pv
from pruneviz.catalog import ModelSource
from pruneviz.jobs import JobService, RunSpec
from pruneviz.jobs.checkpoints import Checkpoints
from pruneviz.jobs.course import CourseReader
from pruneviz.jobs.driving import History
from pruneviz.jobs.results import network_of, ranking_of, sensitivity_of
from pruneviz.trace import trace

OPTIONS = {"lr": 0.02, "epochs": 3, "batch_size": 16, "seed": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of stripes, upright and lying, with noise."""
    root, noise = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 12), ("test", 10)):
        for name in ("lying", "upright"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                image = noise.integers(0, 120, (32, 32, 3))
                stripes = image if name == "lying" else image.transpose(1, 0, 2)
                stripes[::2] += 130
                Image.fromarray(image.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


@pytest.fixture
def made(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Make a specification for that folder."""
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(tmp_path / "cache"))
    data = {"name": "folder", "options": {"root": str(folder), "size": 32}}
    model = ModelSource("resnet20", "digits", 2).to_dict()

    def spec(kind: str = "fine_tune", plan: str | None = None, **options) -> RunSpec:
        return RunSpec(kind, model, data, plan, options)

    return spec


@pytest.fixture
def half() -> str:
    graph = trace(ModelSource("resnet20", None, 2).load(), (3, 32, 32))
    plan = pv.Plan(graph)
    for group in graph.prunable_groups:
        plan = plan.drop_units(range(group.start, group.start + group.width // 2))
    return plan.to_json()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fine_tuning_a_plan(threaded: JobService, made, half):
    run = threaded.wait(threaded.submit(made(plan=half, **OPTIONS)), 120)
    assert (run.status, run.error) == ("done", None)
    found = threaded.results(run.id)
    assert found["cost"]["macs"] < 0.35 * found["cost"]["baseline_macs"]
    for name in ("baseline", "before", "after"):
        assert found[name]["count"] == 24
        assert len(found[name]["per_class"]) == 2
        assert np.mean(found[name]["per_class"]) == pytest.approx(found[name]["accuracy"])
    assert found["after"]["loss"] < found["before"]["loss"]
    assert found["test"]["after"]["count"] == 20
    assert set(found["test"]) == {"baseline", "after"}
    rows = threaded.metrics(run.id, level="epoch")
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert rows[-1].accuracy == found["after"]["accuracy"]
    assert {row.macs for row in rows} == {found["cost"]["macs"]}
    assert all(row.extra["lr"] >= 0 for row in rows)
    assert found["files"] == ["weights.safetensors", "plan.json"]
    again = pv.evaluate(
        network_of(run, threaded.files(run.id)),
        pv.load_dataset(run.spec.data["name"], **run.spec.data["options"]),
    )
    assert again.accuracy == found["after"]["accuracy"]
    assert again.loss == pytest.approx(found["after"]["loss"], rel=1e-5)
    assert json.loads((threaded.files(run.id) / "plan.json").read_text()) == json.loads(half)


@pytest.mark.filterwarnings("ignore")
def test_how_much_the_weights_changed_is_kept(threaded: JobService, made, half):
    run = threaded.wait(
        threaded.submit(made(plan=half, **{**OPTIONS, "epochs": 1}, repair=False)), 120
    )
    model = ModelSource.from_dict(run.spec.model).load()
    graph = trace(model, (3, 32, 32))
    start = pv.prune(model, graph, pv.Plan.from_json(graph, half)).state_dict()
    end = load_file(threaded.files(run.id) / "weights.safetensors")
    names = [f"{layer.name}.weight" for layer in graph.layers]
    changed = [float((end[n] - start[n]).norm() / start[n].norm()) for n in names]
    (row,) = threaded.metrics(run.id, level="epoch")
    assert row.extra["moved"] == pytest.approx(changed, abs=1e-5)
    assert changed[-1] > 0
    assert "moved" not in threaded.results(run.id), "there was no repair"


@pytest.mark.filterwarnings("ignore")
def test_images_that_were_wrong_are_followed(threaded: JobService, made, half):
    options = {**OPTIONS, "epochs": 2, "repair": False}
    run = threaded.wait(threaded.submit(made(plan=half, **options)), 120)
    found = threaded.results(run.id)
    followed = found["healing"]
    assert len(followed["taken_for"]) == 3, "before training, and after each of 2 epochs"
    truth = np.array(followed["truth"])
    wrong = round(24 * (1 - found["before"]["accuracy"]))
    assert len(followed["images"]) == followed["of"] == wrong > 0
    assert not (truth == followed["taken_for"][0]).any(), "wrong, all of them"
    still = (truth != followed["taken_for"][-1]).sum()
    assert still <= round(24 * (1 - found["after"]["accuracy"])), "the others may be wrong now"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cancelled_fine_tuning_resumes_to_the_same_weights(threaded, made, half, until):
    def weights(run_id: str) -> dict[str, torch.Tensor]:
        return load_file(threaded.files(run_id) / "weights.safetensors")

    whole = threaded.submit(made(plan=half, **{**OPTIONS, "epochs": 8}))
    parts = threaded.submit(made(plan=half, **{**OPTIONS, "epochs": 8}))
    threaded.wait(whole, 120)
    until(threaded, parts, lambda run: run.checkpoints >= 1)
    threaded.cancel(parts)
    run = until(threaded, parts, lambda run: not run.active)
    assert run.status == "cancelled"
    assert run.checkpoints < 8
    threaded.resume(parts)
    assert threaded.wait(parts, 120).status == "done"
    moved = [[row.extra["moved"] for row in threaded.metrics(run_id, level="epoch")]
             for run_id in (whole, parts)]  # fmt: skip
    assert moved[0] == moved[1]
    assert len(moved[0]) == 8
    expected, got = weights(whole), weights(parts)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert threaded.results(whole)["after"] == threaded.results(parts)["after"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_fine_tuning_that_is_stopped_goes_on_after_its_last_batch(
    threaded, made, half, until, monkeypatch
):
    whole = threaded.submit(made(plan=half, **OPTIONS))
    threaded.wait(whole, 120)
    reached, pause, real = threading.Event(), threading.Event(), History.add_batch

    def record(history: History, event) -> None:
        real(history, event)
        if (event.epoch, event.step) == (2, 2) and not reached.is_set():
            reached.set()
            while history._context._pulse.order != "stop":  # the order comes here, and nowhere else
                pause.wait(0.02)

    monkeypatch.setattr(History, "add_batch", record)
    run_id = threaded.submit(made(plan=half, **OPTIONS))
    assert reached.wait(120)
    threaded.store.request_stop(run_id)
    assert until(threaded, run_id, lambda run: not run.active).status == "interrupted"
    state = Checkpoints(threaded.files(run_id)).load()["state"]
    assert (state["epoch"], state["within"]["step"]) == (1, 2)
    threaded.resume(run_id)
    assert threaded.wait(run_id, 120).status == "done"
    expected, got = (load_file(threaded.files(i) / "weights.safetensors") for i in (whole, run_id))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    rows = [threaded.metrics(i, level="epoch") for i in (whole, run_id)]
    assert [(r.epoch, r.loss, r.accuracy) for r in rows[0]] == [
        (r.epoch, r.loss, r.accuracy) for r in rows[1]
    ]


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_done_is_said(threaded, made, half):
    cases = [
        (RunSpec("fine_tune"), "needs the sources of a network and of a data set"),
        (made(epoch=3), "Unknown option of a fine_tune run 'epoch'. Did you mean 'epochs'?"),
        (made(lr=-1.0, epochs=1), "lr must be a number from 0"),
        (made(plan="{}"), "A plan must say"),
        (made("strategy"), "needs the option 'strategy'"),
        (made("strategy", plan=half, strategy="uniform"), "decides itself"),
        (made("strategy", strategy="unifrom"), "Unknown strategy 'unifrom'. Did you mean"),
    ]
    ids = [threaded.submit(spec) for spec, _ in cases]
    for run_id, (_, sentence) in zip(ids, cases, strict=True):
        run = threaded.wait(run_id, 120)
        assert run.status == "failed"
        assert sentence in run.error, run.trace


@pytest.mark.filterwarnings("ignore")
def test_a_strategy(threaded, made):
    options = {"strategy": "random", "target_macs": 0.6, "epochs": 2, "batch_size": 16}
    run = threaded.wait(threaded.submit(made("strategy", **options)), 120)
    assert (run.status, run.error) == ("done", None)
    found = threaded.results(run.id)
    assert found["cost"]["macs"] <= 0.6 * found["cost"]["baseline_macs"]
    rows = threaded.metrics(run.id)
    assert [row.level for row in rows] == ["step"] * len(rows)
    assert rows[-1].macs == found["cost"]["macs"]
    assert "fine-tune" in {row.extra["phase"] for row in rows}
    graph = trace(ModelSource("resnet20", "digits", 2).load(), (3, 32, 32))
    course = CourseReader(threaded.files(run.id), graph).read()
    assert course is not None
    assert [step.macs for step in course.steps] == [row.macs for row in rows]
    assert network_of(run, threaded.files(run.id)) is not None
    assert all(len(row.extra["moved"]) == len(graph.layers) for row in rows)
    assert any(max(row.extra["moved"]) > 0 for row in rows if row.extra["phase"] == "fine-tune")
    assert set(rows[-1].extra["moved"]) == {0.0}, "nothing is done in the last step"


@pytest.mark.filterwarnings("ignore")
def test_a_sensitivity_scan(threaded, made):
    options = {"criterion": "l2", "ratios": [0.25, 0.5], "images": 16, "batch_size": 8}
    run = threaded.wait(threaded.submit(made("sensitivity", **options)), 120)
    assert (run.status, run.error) == ("done", None)
    scan = sensitivity_of(threaded.results(run.id))
    assert scan.final
    assert scan.ratios == (0.25, 0.5)
    assert scan.images == 16
    assert len(scan.points) == 2 * len(scan.groups) > 0
    assert scan.allowed(1.0)[scan.groups[0]] == 0.5


@pytest.mark.filterwarnings("ignore")
def test_a_ranking(threaded, made):
    run = threaded.wait(threaded.submit(made("rank", criteria=["l1", "taylor"])), 120)
    assert (run.status, run.error) == ("done", None)
    model = ModelSource("resnet20", "digits", 2).load()
    graph = trace(model, (3, 32, 32))
    ranking = ranking_of(graph, threaded.files(run.id))
    assert ranking.criteria == ("l1", "taylor")
    assert threaded.results(run.id)["ranking"]["network"] == graph.digest
    expected = pv.rank(model, graph, None, "l1")
    np.testing.assert_array_equal(ranking.of("l1"), expected.of("l1"))


@pytest.mark.filterwarnings("ignore")
def test_the_slow_oracle_reports_and_is_cancelled(threaded, made, until):
    run_id = threaded.submit(made("rank", criteria=["oracle"], images=48, batch_size=1))
    until(threaded, run_id, lambda run: run.progress > 0)
    threaded.cancel(run_id)
    run = until(threaded, run_id, lambda run: not run.active)
    assert (run.status, run.error) == ("cancelled", None)
    assert run.progress < 1
    assert threaded.results(run_id) == {}


@pytest.fixture
def digits_plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunSpec]:
    """Make a run of half of ResNet-20's filters on a few of the digits."""
    whole = pv.load_dataset("digits")
    few = replace(whole, train=whole.train.first(64), val=whole.val.first(50), digest="")
    monkeypatch.setattr("pruneviz.catalog.load_dataset", lambda name, **options: few)
    source = ModelSource("resnet20", "digits")
    graph = trace(source.load(), few.input_shape)
    plan = pv.Plan(graph)
    for group in graph.prunable_groups:
        plan = plan.drop_units(range(group.start, group.start + group.width // 2))

    def spec(**options) -> RunSpec:
        own = {"epochs": 1, "lr": 1e-9, **options}
        return RunSpec("fine_tune", source.to_dict(), {"name": "digits"}, plan.to_json(), own)

    return spec


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_plan_is_repaired_and_taught_unless_told_otherwise(threaded, digits_plan, monkeypatch):
    taught, real = [], pv.fine_tune

    @wraps(real)
    def watched(*args, **options):
        taught.append(options["teacher"] is not None)
        return real(*args, **options)

    monkeypatch.setattr("pruneviz.training.fine_tune", watched)
    ids, runs = [], []
    for options in ({}, {"repair": False, "teacher": False}):
        ids.append(threaded.submit(digits_plan(**options)))
        runs.append(threaded.wait(ids[-1], 120))
    assert [run.error for run in runs] == [None, None]
    best, plain = (threaded.results(run_id) for run_id in ids)
    assert best["start"] == {"repaired": True, "taught": True}
    assert plain["start"] == {"repaired": False, "taught": False}
    assert best["cut"] == plain["before"]
    assert best["before"]["accuracy"] > plain["before"]["accuracy"] + 0.3
    assert taught == [True, False]


@pytest.mark.filterwarnings("ignore")
def test_a_new_classifier_teaches_nothing_by_default(threaded, made, half):
    run_id = threaded.submit(made(plan=half, **{**OPTIONS, "epochs": 1}))
    threaded.wait(run_id, 120)
    assert threaded.results(run_id)["start"] == {"repaired": True, "taught": False}

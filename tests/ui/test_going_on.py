"""Going on from what is there: a finished run's weights, the plan in hand, a slider set by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import pruneviz as pv
from pruneviz.errors import UnknownNameError, WeightsError
from pruneviz.export import bundle, load_bundle
from pruneviz.session.decisions import Subject
from pruneviz.ui.export.network import REPAIRED
from pruneviz.ui.export.page import default_of
from pruneviz.ui.frame import services, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import find, move, sound, texts
from tests.ui.populated import populate


def run_called(name: str) -> str:
    return next(run.id for run in services.jobs().list() if run.name == name)


@pytest.mark.sweep
def test_a_finished_run_is_a_new_baseline(studio: Open) -> None:
    studio("choose")
    populate()
    page = studio("runs")
    run = run_called("tuned")
    page.button(key=f"weights_{run}").click().run()
    assert page.session_state["going_to"] == "choose"
    assert page.session_state["session"].subject.weights == f"run:{run}"
    again = sound(studio("choose", like=page))
    weights = next(box for box in again.selectbox if box.label == "Weights")
    assert weights.value == f"run:{run}"
    assert "internet" not in texts(again), "a run's weights are here"
    assert "from run 'tuned'" in weights.options
    # The same network in a notebook, by id and by name; two filters of it are gone.
    for called in (run, "tuned"):
        model = pv.load_model("resnet20", weights=f"run:{called}")
        assert model.get_parameter("layer1.0.conv1.weight").shape[0] == 14
    assert pv.Plan(pv.trace(model, (3, 32, 32))).drop("layer1.0.conv1", [0])
    with pytest.raises(UnknownNameError, match=r"Unknown finished run 'none'.*tuned"):
        pv.load_model("resnet20", weights="run:none")
    with pytest.raises(WeightsError, match="left a resnet20, not a vgg16"):
        pv.load_model("vgg16", weights="run:tuned")


@pytest.mark.sweep
def test_what_is_exported_of_a_pruned_baseline_loads_again(studio: Open, tmp_path: Path) -> None:
    studio("choose")
    populate()
    subject = Subject("resnet20", f"run:{run_called('tuned')}", None, "digits")
    loaded = workbench.bench(subject)
    plan = pv.Plan(loaded.graph).drop("layer1.0.conv1", [1, 2])
    small = pv.prune(loaded.model, loaded.graph, plan)
    found = bundle(small, plan, model=loaded.source, data=loaded.data.source)
    (tmp_path / "all.zip").write_bytes(found.zip())
    again = load_bundle(tmp_path / "all.zip")
    assert again.get_parameter("layer1.0.conv1.weight").shape[0] == 12
    state, expected = again.state_dict(), small.state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert "load_bundle" in found.snippet
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "out" / "load.py")],
        cwd=Path(pv.__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(Path(pv.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert "Evaluation(accuracy=" in ran.stdout, ran.stderr


def which(page: AppTest) -> Any:
    return page.selectbox(key="export_which")


@pytest.mark.sweep
def test_export_begins_with_what_is_in_hand_and_says_where_they_differ(studio: Open) -> None:
    page = sound(studio("prune"))
    populate()
    move(page, "ratio_all", 40)
    export = sound(studio("export", like=page))
    assert which(export).value == REPAIRED, "no run has the plan in hand"
    assert not export.warning
    which(export).set_value(run_called("unpruned")).run()
    assert "the current plan is a different one and prunes 160" in export.warning[0].value
    assert "fine-tuned network with all its filters" in export.info[0].value


def test_the_newest_run_of_the_plan_in_hand_is_exported_first() -> None:
    assert default_of("a", {"new": "b", "old": "a", "older": "a"}) == "old"
    assert default_of("c", {"new": "b"}) == REPAIRED


def test_a_slider_set_by_hand_stays_until_it_is_released(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio1", 50)
    move(page, "ratio_all", 20)
    assert find(page, "ratio1").value == 50
    page.button(key="release1").click().run()
    sound(page.run())
    assert find(page, "ratio1").value != 50
    assert not [b for b in page.button if b.key == "release1"]


def test_choose_begins_with_weights_that_are_there(
    studio: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing was downloaded
    page = sound(studio("choose"))
    page.selectbox[0].set_value("squeezenet1_0").run()
    weights = next(box for box in page.selectbox if box.label == "Weights")
    assert weights.value == "random"
    assert weights.options[0] == "imagenet (download)"
    assert not any("IMAGENET1K_V1" in o for o in weights.options), "the default under another name"
    assert page.session_state["session"].subject == Subject()

"""`pruneviz apply` and `pruneviz export`: from a recipe or a run to files, without a screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz.commands.main import main
from pruneviz.export import state_digest
from pruneviz.recipe import recipe_of_run

SOURCE = {"name": "resnet20", "weights": "digits", "num_classes": None, "seed": 0}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", "digits")
    graph = pv.trace(model, (3, 32, 32))
    plan = pv.Plan(graph).drop("layer1.0.conv1", range(8))
    options = {"epochs": 1, "seed": 3}
    made = recipe_of_run(model, graph, data, SOURCE, "fine_tune", options, plan, formats=["python"])
    path = tmp_path_factory.mktemp("recipe") / "recipe.json"
    path.write_text(made.to_json())
    return path


@pytest.mark.sweep
def test_apply_writes_files_report_cards_and_notebook(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["apply", str(recipe), "--out", str(out), "--report", "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert "Epoch 1 of 1" in printed.err
    names = {path.name for path in out.iterdir()}
    wanted = {"network.py", "network.pt", "recipe.json", "plan.json", "session.ipynb"}
    assert wanted | {"report.html", "card.png", "README.md"} <= names
    kept = pv.Recipe.read(out / "recipe.json")
    assert kept.digests["result"] == told["digests"]["result"]
    assert told["evaluations"][-1]["network"] == "fine-tuned"
    assert "seed 3" in (out / "report.html").read_text()


def test_a_recipe_for_other_weights_is_one_sentence(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = json.loads(recipe.read_text())
    values["model"]["weights"] = None
    other = tmp_path / "other.json"
    other.write_text(json.dumps(values))
    assert main(["apply", str(other), "--out", str(tmp_path / "out")]) == 2
    model = pv.load_model("resnet20", "digits")
    assert state_digest(model.state_dict()) in capsys.readouterr().err
    assert main(["apply", str(tmp_path / "none.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_export_of_a_run_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "abc", "--home", str(tmp_path)]) == 2
    assert "No run has an id that begins with 'abc'" in capsys.readouterr().err

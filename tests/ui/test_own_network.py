"""A network of one's own through the studio, and all that must not lead to it."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz.catalog import own, own_data
from pruneviz.commands import studio as studio_command
from pruneviz.recipe import recipe_of_run
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound, start_on, texts

CODE = """
    import torch
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self, num_classes=10):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, stride=2)
            self.second = nn.Conv2d(8, 16, 3, stride=2)
            self.norm = nn.BatchNorm2d(16)
            self.classifier = nn.Linear(16, num_classes)

        def forward(self, x):
            x = torch.relu(self.second(torch.relu(self.first(x))))
            return self.classifier(self.norm(x).mean((2, 3)))

    def make_model():
        torch.manual_seed(3)
        return Tiny()

    def broken():
        raise RuntimeError("no weights here")

    def nothing():
        return 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "mynet.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(CODE))
    return path


@pytest.fixture
def given(file: Path, monkeypatch: pytest.MonkeyPatch) -> own.OwnNetwork:
    """A process that was started on the network and the digits, as the command does it."""
    return start_on(f"{file}:make_model", monkeypatch)


@pytest.mark.slow
def test_own_network_goes_through_choose_prune_and_a_background_run(
    studio: Open, given: own.OwnNetwork
) -> None:
    page = sound(studio("choose"))
    assert page.selectbox[0].value == "own/make_model"
    assert page.selectbox[1].format_func(given.weights) == "its own weights"
    page = sound(studio("prune"))
    page = move(page, "ratio_all", 50)
    plan = page.session_state["session"].in_hand.plan
    assert len(plan.dropped) == 12, "half of 8 and of 16 filters"
    page = sound(studio("runs", page))
    next(n for n in page.number_input if n.label == "Epochs").set_value(1)
    next(b for b in page.button if b.label == "Start").click().run()
    (run,) = services.jobs().list()
    ended = services.jobs().wait(run.id, 300)
    assert ended.status == "done", ended.error
    assert services.jobs().results(run.id)["cost"]["units_left"] == 12 + 10, "the classes stay"
    assert "badge[done]" in texts(sound(page.run()))


def test_a_changed_file_is_refused_by_what_was_ordered_before(
    given: own.OwnNetwork, file: Path, studio: Open
) -> None:
    sound(studio("choose"))
    file.write_text(file.read_text() + "\n# another\n")
    with pytest.raises(pv.errors.InvalidValueError, match="has changed since"):
        pv.load_model(given.model, given.weights)
    own.hand_over(own.from_code(f"{file}:make_model"))
    with pytest.raises(pv.errors.WeightsError, match=given.weights.removeprefix("own:")):
        pv.load_model(given.model, given.weights)


def test_no_name_leads_to_code(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a visitor, a record or a recipe could write: none of it has the file imported."""
    monkeypatch.delenv(own.VARIABLE, raising=False)
    file.write_text("raise SystemExit('was run')")
    names = ["own/make_model", f"own/{file}", f"{file}:make_model", f"own/{file}:make_model"]
    for name in names:
        with pytest.raises(pv.errors.PruneVizError):
            pv.load_model(name, f"own:{own.digest_of(file)[:12]}")
        with pytest.raises(pv.errors.PruneVizError):
            pv.load_model(name)
    with pytest.raises(pv.errors.PruneVizError):
        pv.load_model("resnet20", str(file))
    with pytest.raises(pv.errors.PruneVizError):
        pv.load_dataset("own")


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("broken", "no weights here"),
        ("nothing", "must return a torch.nn.Module, but returned 3"),
        ("absent", "has no function 'absent'; it has: Tiny, make_model, broken, nothing"),
    ],
)
def test_a_factory_that_does_not_work_is_a_sentence(file: Path, factory: str, says: str) -> None:
    with pytest.raises(pv.errors.InvalidValueError, match=says):
        own.from_code(f"{file}:{factory}").load()


def test_the_verb_may_be_left_out() -> None:
    wanted = ["studio", "--port", "9000", "my.py:make", "--data", "pets"]
    assert studio_command.with_verb(wanted[1:]) == wanted
    assert studio_command.with_verb(["--port", "9000", "studio", *wanted[3:]]) == wanted
    other = ["run", "taylor", "--model", "my.py:make"]
    assert studio_command.with_verb(other) == other


def test_live_objects_are_the_same_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    import torch

    model = pv.load_model("resnet20", "digits")
    data = pv.load_dataset("digits")
    mine = replace(data, source={}, name="scans", val=data.val.subset(torch.arange(100)), digest="")
    for name, value in studio_command._environment(model, mine, tmp_path).items():
        monkeypatch.setenv(name, value)
    (file,) = (tmp_path / "own").glob("*.pickle")
    assert file.stat().st_mode & 0o077 == 0, "for its owner alone"
    there = own_data.load({})
    assert there.digest == mine.digest
    assert torch.equal(there.val.images, mine.val.images)
    again = pv.load_model("own/ResNet", own.listed()["own/ResNet"].weights[0])
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    assert os.environ["PRUNEVIZ_OPENS_WITH"]


def test_studio_from_python(tmp_path: Path, file: Path) -> None:
    import urllib.request

    model = own.from_code(f"{file}:make_model").load()
    opened = pv.studio(model, pv.load_dataset("digits"), home=tmp_path / "home")
    try:
        with urllib.request.urlopen(f"{opened.url}/_stcore/health", timeout=20) as answer:
            assert answer.status == 200
        assert opened.running
    finally:
        opened.stop()
    assert not opened.running


def test_an_untrained_network_is_trained_first_and_teaches_nobody(
    studio: Open, given: own.OwnNetwork
) -> None:
    """A run that learned from a network at chance level stayed there, and no page said why."""
    page = studio("choose")
    services.previews().wait(workbench.bench(Subject(given.model, given.weights)), None)
    page = sound(page.run())
    assert "The network is no better than chance here" in texts(page)
    assert any(b.label == "Fine-tune it first" for b in page.button)
    page = move(studio("prune"), "ratio_all", 50)
    page = sound(studio("runs", page))
    teacher = next(c for c in page.checkbox if c.label == "Learn from the unpruned network")
    assert not teacher.value


def test_what_is_exported_of_it_loads_in_another_process(
    studio: Open, given: own.OwnNetwork, file: Path, tmp_path: Path
) -> None:
    """Recipe, notebook and `load.py` named `own/make_model`, which no other process knew."""
    import subprocess
    import sys
    import zipfile

    page = move(studio("prune"), "ratio_all", 50)
    page = sound(studio("export", page))
    bundle = page.session_state["bundle"]["bundle"]
    (tmp_path / "bundle.zip").write_bytes(bundle.zip())
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        archive.extractall(tmp_path / "bundle")
    there = {k: v for k, v in os.environ.items() if k != own.VARIABLE}
    done = subprocess.run(
        [sys.executable, "load.py"],
        cwd=tmp_path / "bundle",
        env=there,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Evaluation(accuracy=" in done.stdout


def test_a_recipe_of_it_is_repeated_where_its_owner_hands_it_over(
    given: own.OwnNetwork, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pruneviz.commands.main import main

    data, model = pv.load_dataset("digits"), given.load()
    graph = pv.trace(model, data.input_shape)
    plan = pv.Plan(graph).drop("first", [0, 1])
    source = {"name": given.model, "weights": given.weights, "num_classes": None, "seed": 0}
    options = {"epochs": 1}
    recipe = recipe_of_run(model, graph, data, source, "fine_tune", options, plan, formats=[])
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    first = next(c for c in json.loads(pv.notebook_of(recipe))["cells"] if c["cell_type"] == "code")
    monkeypatch.delenv(own.VARIABLE)
    command = ["apply", str(tmp_path / "recipe.json"), "--out", str(tmp_path / "out")]
    assert main(command) == 2, "no recipe leads to code"
    assert main([*command, "--network", f"{file}:make_model"]) == 0
    monkeypatch.delenv(own.VARIABLE)
    exec("".join(first["source"]), {})

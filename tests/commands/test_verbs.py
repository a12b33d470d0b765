"""`pruneviz run` and `pruneviz lab`: what they do, and what they say when they cannot."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from pruneviz.catalog import ModelSource, load_dataset
from pruneviz.commands import main as cli
from pruneviz.commands.run import value_of
from pruneviz.commands.watch import model_of
from pruneviz.jobs import JobService
from pruneviz.jobs.views import RunView
from pruneviz.strategies import find_strategy
from pruneviz.studies.pretraining import PretrainingStudy
from pruneviz.studies.queue import Queue
from pruneviz.studies.race_result import Race
from tests.threads import worker_threads

CLI = ("--model", "resnet20", "--weights", "digits")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sixty images, and a thread instead of a process that would take seconds to start."""
    data = load_dataset("digits")
    some = torch.arange(60)
    small = replace(data, train=data.train.subset(some), val=data.val.subset(some))
    monkeypatch.setattr("pruneviz.catalog.load_dataset", lambda name, **_: small)
    with worker_threads() as executor:
        made = partial(JobService, executor=executor)
        monkeypatch.setattr("pruneviz.jobs.service.JobService", made)
        yield


@pytest.mark.slow
def test_a_strategy_runs_and_leaves_its_records(
    quick: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pruneviz.commands.output.watched", lambda: True)
    home = str(tmp_path)
    asked = ["run", "uniform", *CLI, "--epochs", "1", "--target-macs", "0.5", "--home", home]
    assert cli.main([*asked, "--set", "criterion=l2", "--name", "mine"]) == 0
    said, progress = capsys.readouterr()
    assert "Run 'mine'" in said
    assert "accuracy" in progress
    assert "of the MACs" in said
    with JobService(tmp_path) as service:
        (run,) = service.list()
        assert run.status == "done"
        assert run.spec.options == {
            "strategy": "uniform", "criterion": "l2", "epochs": 1, "target_macs": 0.5, "seed": 0,
        }  # fmt: skip
        assert (service.files(run.id) / "weights.safetensors").exists()
        after = service.results(run.id)["after"]["accuracy"]
        assert f"{after:.2%} on 60 validation images" in said
        steps = [r for r in service.metrics(run.id) if r.level != "batch"]
        assert progress.count(" MMACs") == len(steps)
        assert " MMACs" not in said


@pytest.mark.slow
def test_a_script_gets_json_and_no_progress(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["run", "uniform", *CLI, "--epochs", "1", "--target-macs", "0.5", "--json"]
    assert cli.main([*asked, "--home", str(tmp_path)]) == 0
    said, progress = capsys.readouterr()
    assert progress == "", "nobody watches"
    found = json.loads(said)
    assert found["status"] == "done"
    assert (Path(found["folder"]) / "weights.safetensors").exists()
    assert 0 < found["after"]["accuracy"] <= 1
    assert found["cost"]["macs"] < found["cost"]["baseline_macs"]


def test_home_may_stand_before_the_command_and_the_weights_are_told_once(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--home", str(tmp_path), "run", "control", "--epochs", "1"]) == 0
    assert capsys.readouterr().out.count("Weights: digits.") == 1
    with JobService(tmp_path) as service:
        assert len(service.list()) == 1


def test_a_failed_run_is_a_sentence(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["run", "uniform", *CLI, "--target-macs", "0.0001", "--home", str(tmp_path)]
    assert cli.main(asked) == 2
    assert "choose a higher target" in capsys.readouterr().err


@pytest.mark.slow
def test_a_race_is_run_and_told(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found" / "race.json"
    asked = ["race", "uniform", "control", *CLI, "--epochs", "1", "--seeds", "0", "1"]
    assert cli.main([*asked, "--home", str(tmp_path), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    race = Race.from_json(out.read_text())
    assert race.final
    assert race.seeds == (0, 1)
    for row in race.to_frame().to_dict("records"):
        assert f"{row['accuracy']:.2%} ± {row['accuracy_std']:.2%}" in said
    assert "on 60 validation images" in said
    assert "4 of 4. Race: resnet20 on digits, Control (nothing pruned), seed 1: done" in said
    table = tmp_path / "race.parquet"
    assert cli.main([*asked, "--home", str(tmp_path), "--out", str(table)]) == 0
    assert "All of them have already ended." in capsys.readouterr().out, (
        "what is done is not done again"
    )
    read = pd.read_parquet(table)
    assert len(read) == 4
    assert read.groupby("strategy")["accuracy"].mean().to_dict() == pytest.approx(
        race.to_frame().set_index("strategy")["accuracy"].to_dict()
    )


STUDY = ("--set", "epochs_before=1", "--set", "epochs=1", "--set", "sparsities=1")


@pytest.mark.slow
def test_a_study_is_a_queue_that_goes_on(
    quick: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "study.json"
    asked = ["study", "--models", "resnet20", *STUDY, "--home", str(tmp_path), "--out", str(out)]
    real = Queue.advance

    def advance(queue: Queue) -> tuple[RunView, ...]:
        runs = real(queue)
        if any(run.status == "done" for run in runs):
            raise KeyboardInterrupt  # the second run meets Ctrl+C
        return runs

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "advance", advance)
        assert cli.main([*asked, "--seeds", "0", "1", "--max-parallel", "1"]) == 130
    assert "continue from the last checkpoint" in capsys.readouterr().out
    assert not out.exists()
    assert cli.main([*asked, "--seeds", "0", "1"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2. Study: resnet20 on digits, seed 1" in said
    assert re.search(r"They take about .*\. Their files take about [\d.,]+ MiB\.", said)
    assert "(2 seeds)" in said
    found = PretrainingStudy.from_json(out.read_text())
    assert sorted((r.network, r.data, r.seed) for r in found.runs) == [
        ("resnet20", "digits", 0), ("resnet20", "digits", 1),
    ]  # fmt: skip
    with JobService(tmp_path) as service:
        before = {run.id: run.attempts for run in service.list()}
        assert len(before) == 2
    table = tmp_path / "study.parquet"
    assert cli.main([*asked[:-1], str(table), "--seeds", "0", "1"]) == 0
    assert "All of them have already ended." in capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_parquet(table), found.to_frame())
    # One more seed joins the same study; what is done is not done again.
    assert cli.main([*asked, "--seeds", "0", "1", "2"]) == 0
    with JobService(tmp_path) as service:
        runs = service.list()
        assert len(runs) == 3
        assert len({run.parent for run in runs}) == 1
        assert {run.id: run.attempts for run in runs if run.id in before} == before
        assert all(run.status == "done" for run in runs)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["race", "magic"], "Unknown strategy 'magic'. Choose one of: binary_search"),
        (["race", "pretraining_study"], "Choose one of: binary_search"),
        (["race", "--target-macs", "0"], "above 0 and at most 1, but got 0"),
        (["race", "--epochs", "0"], "at least 1, but got 0"),
        (["race", "--max-parallel", "0"], "at least 1, but got 0"),
        (["race", "--seeds", "-1"], "whole numbers from 0"),
        (["study", "--max-parallel", "0"], "at least 1, but got 0"),
        (["study", "--seeds", "-1"], "whole numbers from 0"),
        (["study", "--set", "foo=1"], "Choose one of: epochs"),
        (["study", "--threads", "0"], "a whole number of at least 1, but got 0"),
        (["study", "--data", "nothing.zip"], "Choose one of"),
        (["study", "--models", "vgg17"], "Choose one of"),
        (["study", "--models", "resnet20", "--weights", "x.pt"], "x.pt"),
        (["run", "magic"], "Unknown strategy 'magic'. Choose one of: binary_search, control"),
        (["run", "taylor", "--set", "foo=1"], "Choose one of: epochs"),
        (["run", "taylor", "--set", "updates"], "NAME=VALUE, but got 'updates'"),
        (["run", "taylor", "--set", "updates=many"], "a whole number, but got 'many'"),
        (["run", "taylor", "--epochs", "-1"], "at least 0, but got -1"),
        (["run", "taylor", "--target-macs", "2"], "at most 1, but got 2"),
        (["run", "control", "--target-macs", "0.5"], "leave out --target-macs"),
        (["run", "taylor", "--threads", "0"], "a whole number of at least 1, but got 0"),
        (["run", "taylor", "--data", "digit"], "Choose one of"),
        (["lab", "run", "magic"], "Choose one of: oracle"),
        (["lab", "run", "oracle", "--scale", "weeks"], "minutes, hours"),
        (["lab", "run", "oracle", "--seeds", "-1"], "whole numbers from 0"),
        (["lab", "run", "oracle", "--threads", "0"], "a whole number of at least 1, but got 0"),
        (["lab", "run", "oracle", "--max-parallel", "0"], "--max-parallel is a whole number"),
        (["lab", "run", "oracle", "--out", "/dev/null/x"], "use --out to name another place"),
    ],
)
def test_mistakes_are_one_sentence(
    asked: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(asked) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("pruneviz: ")
    assert sentence in said[0]


@pytest.mark.parametrize(
    ("model", "given", "data", "weights", "sentence"),
    [
        ("resnet20", None, "digits", "digits", "Weights: digits."),
        ("resnet20", None, "folder", None, "Weights: random; --weights takes digits, cifar10"),
        ("resnet50", None, "digits", None, "Weights: random; --weights takes imagenet"),
        ("nothing", None, "digits", None, "Weights: random."),
        ("resnet20", "random", "digits", None, ""),
        ("resnet20", "cifar10", "digits", "cifar10", ""),
    ],
)
def test_weights_are_those_of_the_data_unless_others_are_named(
    model: str,
    given: str | None,
    data: str,
    weights: str | None,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = model_of(Namespace(model=model, weights=given, data=data))
    assert found == ModelSource(model, weights)
    assert capsys.readouterr().out.strip().startswith(sentence)


def test_values_are_read_by_kind() -> None:
    known = {info.name: info for info in find_strategy("taylor").fields}
    assert value_of(known["updates"], "7") == 7
    assert value_of(known["update_lr"], "1e-3") == 1e-3
    assert value_of(known["iterations"], "none") is None
    assert value_of(known["mixed_precision"], "yes") is True
    assert value_of(known["criterion"], "l1") == "l1"


def test_help_and_options_name_every_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    from pruneviz.strategies import names

    with pytest.raises(SystemExit) as end:
        cli.main(["run", "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in names())
    assert cli.main(["run", "taylor", "--options"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {info.name}={info.default}" in said for info in find_strategy("taylor").fields)


def test_the_lab_lists_and_tables(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["lab"]) == 0
    assert "Taylor tracks the oracle" in capsys.readouterr().out
    assert cli.main(["lab", "table", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("| claim |")

"""A user's own criterion and strategy: in rankings, runs, a session, and from a package."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

import pruneviz as pv
from pruneviz.criteria import Criterion, by_filter, criteria, find_criterion
from pruneviz.criteria import registry as criteria_registry
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.plugins import Registry
from pruneviz.session.workbench import Workbench
from pruneviz.strategies import FineTuning, Strategy, StrategyEvent, find_strategy, names
from pruneviz.strategies import registry as strategies_registry
from pruneviz.strategies import strategies as strategies_table
from pruneviz.strategies.run import Run
from tests.session.conftest import images, network

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for registry in (criteria_registry, strategies_registry):
        monkeypatch.setattr(registry._REGISTRY, "_added", {})


@pytest.fixture
def model() -> nn.Module:
    return network()


@pytest.fixture
def data() -> DataSet:
    return images()


def peak() -> Criterion:
    score = by_filter(lambda rows: np.abs(rows).max(axis=1))
    return Criterion(name="peak", title="Peak", help="The largest weight.", score=score)


def every_other(run: Run, options: FineTuning) -> Iterator[StrategyEvent]:
    """Remove every other unit of each group."""
    units = [u for g in run.graph.prunable_groups for u in list(g.units)[1::2]]
    run.shrink(run.plan.drop_units(units))
    yield run.event("prune", f"Removed {len(units)} units")


def halving() -> Strategy:
    return Strategy(
        name="halving",
        title="Halving",
        help="Removes every other filter.",
        paper="",
        options=FineTuning,
        run=every_other,
        takes_target=False,
        reaches_target=False,
    )


def test_a_registered_criterion_ranks_and_is_listed(model: nn.Module, data: DataSet) -> None:
    assert pv.register(peak()).name == "peak"
    graph = pv.trace(model, data.input_shape)
    ranking = pv.rank(model, graph, None, criteria=["peak", "l1"])
    weights = model.state_dict()["0.weight"].flatten(1).abs().amax(1).numpy()
    np.testing.assert_allclose(ranking.of("peak")[list(graph.group("0").units)], weights)
    assert "peak" in set(criteria()["name"])
    plan = pv.threshold(graph, ranking, "peak", 0.5)
    assert len(plan) == 12


def test_a_session_offers_what_was_registered_meanwhile(model: nn.Module, data: DataSet) -> None:
    bench = Workbench.of(model, data)
    assert "peak" not in bench.rankings.offered()
    pv.register(peak())
    assert "peak" in bench.rankings.offered()
    assert "peak" in bench.rankings.of("peak").scores


def test_a_registered_strategy_runs_and_is_listed(model: nn.Module, data: DataSet) -> None:
    pv.register(halving())
    assert "halving" in names()
    assert "halving" in set(strategies_table()["name"])
    graph = pv.trace(model, data.input_shape)
    *_, last = pv.run_strategy("halving", model, graph, data)
    assert len(last.result.plan) == 12
    *_, same = pv.run_strategy(halving(), model, graph, data)  # or without registering it
    assert same.result.plan == last.result.plan


def test_a_cell_that_runs_again_replaces_what_it_registered() -> None:
    pv.register(peak())
    again = pv.register(peak())
    assert find_criterion("peak") is again


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        (
            Criterion(name="l1", title="", help="", score=len),
            "'l1' is one of PruneViz's own criterion names",
        ),
        (Criterion(name="my own", title="", help="", score=len), "letters, digits and underscores"),
        ("peak", "Only a Criterion or a Strategy can be registered, but got str"),
    ],
)
def test_what_cannot_be_registered_is_refused(thing: object, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        pv.register(thing)


def test_a_strategy_is_named_like_its_file() -> None:
    for name in names():
        assert find_strategy(name).name == name


def test_adding_a_thing_is_adding_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "garden"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tools.py").write_text("import nothing_of_that_name  # is not imported\n")
    source = "from types import SimpleNamespace\nPLANT = SimpleNamespace(name='{}')\n"
    (package / "rose.py").write_text(source.format("rose"))
    monkeypatch.syspath_prepend(tmp_path)
    garden = Registry[SimpleNamespace]("plant", "garden", "PLANT")  # type: ignore[type-var]
    assert list(garden.all()) == ["rose"]
    (package / "thyme.py").write_text(source.format("thyme"))
    garden = Registry[SimpleNamespace]("plant", "garden", "PLANT")  # type: ignore[type-var]
    assert garden.find("thyme").name == "thyme"
    with pytest.raises(UnknownNameError, match="rose"):
        garden.find("nettle")


PACKAGE = """
from pruneviz.criteria import Criterion, by_filter
PEAK = Criterion(
    name="peak", title="Peak", help="The largest weight.",
    score=by_filter(lambda rows: abs(rows).max(axis=1)),
)
"""
MODULE = PACKAGE + "import pruneviz as pv\npv.register(PEAK)\n"
LISTED = "from pruneviz.criteria import criteria; print('peak' in set(criteria()['name']))"


def listed(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Whether a new process knows the criterion."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", LISTED],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=folder,
    )


@pytest.mark.slow
def test_an_installed_package_adds_its_own_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "peaks.py").write_text(PACKAGE)
    about = tmp_path / "peaks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: peaks\nVersion: 1.0\n")
    entry = "[pruneviz.plugins]\npeak = peaks:PEAK\n"
    (about / "entry_points.txt").write_text(entry)
    assert listed(tmp_path).stdout.strip() == "True"
    (about / "entry_points.txt").write_text(entry + "broken = not_there:NOTHING\n")
    out = listed(tmp_path)
    assert out.stdout.strip() == "True", "one plugin that is broken leaves the others"
    assert "The plugin 'broken' (not_there:NOTHING) was left out" in out.stderr


@pytest.mark.slow
def test_a_module_in_the_environment_adds_its_own(tmp_path: Path) -> None:
    (tmp_path / "my_criteria.py").write_text(MODULE)
    assert listed(tmp_path).stdout.strip() == "False"
    assert listed(tmp_path, PRUNEVIZ_PLUGINS="my_criteria").stdout.strip() == "True"

"""The race: the same budget for all, growing results, resumed where it stopped."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.figures.race import race_figure, race_info
from pruneviz.strategies.registry import title_of
from pruneviz.studies.race import Outcome, Race, race
from pruneviz.studies.race_result import deviation
from pruneviz.training import evaluate

FIELD = ("taylor", "uniform", "random", "control")


@pytest.fixture
def races(model: nn.Module, graph: ChannelGraph, data: DataSet) -> list[Race]:
    return list(race(model, graph, data, FIELD, epochs=4, seeds=(0, 1), network="tiny"))


def timeless(found: Race) -> Race:
    return replace(found, outcomes=tuple(replace(o, seconds=0.0) for o in found.outcomes))


def test_a_race_grows_and_spends_the_same_budget(
    races: list[Race], model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    assert [len(r.outcomes) for r in races] == list(range(1, 9))
    assert [r.final for r in races] == [False] * 7 + [True]
    last = races[-1]
    assert last.split == "test"
    assert last.baseline == evaluate(model, data, split="test").accuracy
    for outcome in last.outcomes:
        assert outcome.passes == pytest.approx(4, abs=1)
        if outcome.strategy == "control":
            assert outcome.macs == cost(graph).macs
        else:
            assert outcome.macs <= 0.5 * cost(graph).macs
    frame = last.to_frame().set_index("strategy")
    assert list(frame.index) == list(FIELD)
    assert (frame["runs"] == 2).all()
    assert frame.loc["control", "against_control"] == 0
    taylor = [o.accuracy for o in last.of("taylor")]
    assert frame.loc["taylor", "accuracy"] == pytest.approx(sum(taylor) / 2)
    assert frame.loc["taylor", "accuracy_std"] == pytest.approx(abs(taylor[0] - taylor[1]) / 2**0.5)


@pytest.mark.slow
def test_resume_and_storing(
    races: list[Race], model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    kept = Race.from_json(races[4].to_json())
    assert kept == races[4]
    rest = list(
        race(model, graph, data, FIELD, epochs=4, seeds=(0, 1), network="tiny", resume=kept)
    )
    assert len(rest) == 3
    assert timeless(rest[-1]) == timeless(races[-1])
    with pytest.raises(InvalidValueError, match="settings that it was started with"):
        race(model, graph, data, FIELD, epochs=5, seeds=(0, 1), network="tiny", resume=kept)
    with pytest.raises(InvalidValueError, match="A race must say"):
        Race.from_json("{}")
    with pytest.raises(InvalidValueError, match="is not"):
        Race.from_json("nonsense")


def test_bad_fields_are_refused(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    with pytest.raises(UnknownNameError):
        race(model, graph, data, ["magic"])
    with pytest.raises(InvalidValueError, match="at least one"):
        race(model, graph, data, [])
    with pytest.raises(UnknownNameError, match="option"):
        race(model, graph, data, ["uniform"], options={"uniform": {"speed": 1}})


def made_up(network: str = "resnet20") -> Race:
    def outcome(strategy: str, seed: int, macs: int, accuracy: float) -> Outcome:
        return Outcome(strategy, seed, macs, 10, accuracy, accuracy, 6.0, 1.0, "")

    return Race(
        network=network,
        data="cifar10",
        split="test",
        images=100,
        target_macs=0.5,
        epochs=6,
        seeds=(0, 1),
        strategies=("soft", "control", "random"),
        options={},
        macs=100,
        params=20,
        baseline=0.9,
        outcomes=(
            outcome("soft", 0, 50, 0.8),
            outcome("soft", 1, 48, 0.9),
            outcome("control", 0, 100, 0.92),
        ),
    )


def test_figure_shows_means_spreads_and_published_points() -> None:
    info = race_info(made_up())
    assert [p.strategy for p in info.points] == ["soft", "control"]
    soft = info.points[0]
    assert soft.accuracy == pytest.approx(0.85)
    assert soft.accuracy_std == pytest.approx(deviation([0.8, 0.9]))
    assert soft.runs == ((0.5, 0.8), (0.48, 0.9))
    assert info.points[1].accuracy_std == 0
    assert ("Soft filter pruning (He et al. 2018)", 1 - 0.422, 0.9083) in info.published
    assert race_info(made_up("other")).published == ()
    names = [t.name for t in race_figure(info).data if t.showlegend is not False]
    assert names == ["Soft filter pruning", "Control (nothing pruned)", "published"]
    assert info.told.startswith("Accuracy on test images")
    assert "Soft filter pruning 85.00" in info.told
    assert made_up().figure(dark=True).layout.yaxis.title.text == "accuracy (top-1, test)"


def test_a_strategy_is_called_by_its_title_where_it_is_known() -> None:
    assert title_of("one_shot") == "One shot, by sensitivity"
    assert title_of("another's own") == "another's own"


def test_deviation_is_that_of_a_sample() -> None:
    assert deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert math.isnan(deviation([1.0]))

"""Chance is a labelled line where it lies near, in every chart of accuracies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pruneviz import figures
from pruneviz.figures.lab import LabInfo, lab_figure
from pruneviz.figures.pretraining import PretrainingInfo, StudyCurve, pretraining_figure
from pruneviz.figures.race import RaceInfo, RacePoint, race_figure
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint
from tests.figures.levels import level, named, point


def scan_of(*correct: int, chance: float) -> Sensitivity:
    points = tuple(
        SensitivityPoint("a", (i + 1) / 10, i + 1, 9, n, 100, 0.3, 9, 0.1)
        for i, n in enumerate(correct)
    )
    return Sensitivity("l1", "val", 95, 0.1, 100, 100, (0.1, 0.2), points, (), True, chance=chance)


CHARTS: dict[str, Callable[[float, float], Any]] = {
    "trade-off": lambda accuracy, chance: figures.tradeoff_figure(
        figures.tradeoff_info(
            [point("base", 100, 0.95, "baseline"), point("p", 50, accuracy)], chance=chance
        )
    ),
    "sensitivity": lambda accuracy, chance: figures.curves_figure(
        scan_of(round(100 * accuracy), chance=chance)
    ),
    "runs": lambda accuracy, chance: figures.training_figure(
        figures.TrainingInfo(
            (figures.RunCurve("run", (0, 1), (accuracy, 0.9)),), baseline=0.95, chance=chance
        )
    ),
    "race": lambda accuracy, chance: race_figure(
        RaceInfo(
            "", "test", 0.95, 0.5,
            (RacePoint("taylor", "Taylor", 0.5, 0, accuracy, 0, ((0.5, accuracy),)),),
            (), chance,
        )
    ),
    "study": lambda accuracy, chance: pretraining_figure(
        PretrainingInfo(
            "test", (StudyCurve("a", "scratch", (0.0, 0.5), (0.95, accuracy), (0, 0), 1),),
            {"a": chance},
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHARTS)
def test_chance_is_a_labelled_line_where_it_lies_near_and_never_squeezes(name: str) -> None:
    near = CHARTS[name](0.2, 0.1)
    assert 0.1 in level(near)
    assert "chance 10.0" in named(near)
    drawn = near.layout.yaxis.range
    assert drawn is None or drawn[0] < 0.1
    far = CHARTS[name](0.9, 0.1)
    assert 0.1 not in level(far)
    assert far.layout.yaxis.range is None or far.layout.yaxis.range[0] > 0.8


def test_chance_of_a_claim_on_accuracies_is_upright() -> None:
    info = LabInfo("", "accuracy", (("taylor", 0.3, (0.2, 0.4)),), percent=True, chance=0.1)
    assert {s.x0 for s in lab_figure(info).layout.shapes} == {0.1}
    high = replace(info, findings=(("taylor", 0.9, (0.9, 0.91)),))
    assert not lab_figure(high).layout.shapes

"""Pictures of runs, costs and classes hold their numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pruneviz import figures
from tests.figures.levels import named


def test_costs_training_and_classes_hold_their_numbers() -> None:
    costs = figures.costs_figure(figures.CostsInfo("MACs", ("a", "b"), (10, 20), (10, 5)))
    assert [list(t.y) for t in costs.data] == [[10, 5], [0, 15]]
    run = figures.RunCurve("run", (1, 2), (0.8, 0.9), (1.0, 0.5), (0.9, 0.6))
    info = figures.TrainingInfo((run,), baseline=0.95, epochs=3)
    assert list(figures.training_figure(info).data[0].y) == [0.8, 0.9]
    losses = figures.training_figure(info, "loss")
    assert [list(t.y) for t in losses.data[:2]] == [[1.0, 0.5], [0.9, 0.6]]
    assert [t.name for t in losses.data if t.showlegend is not False] == [
        "run", "validation", "training",
    ]  # fmt: skip
    classes = figures.classes_figure(figures.ClassesInfo(("x", "y"), (1.0, 0.9), (0.5, 0.9)))
    assert list(classes.data[-1].y) == ["y", "x"]  # the greatest loss on top


def test_training_accuracy_is_a_thin_line_that_the_legend_explains() -> None:
    run = figures.RunCurve("run", (0, 1), (0.5, 0.9), right=((0.25, 0.6), (0.5, 0.4)))
    drawn = figures.training_figure(figures.TrainingInfo((run,)))
    solid, dotted, *rest = drawn.data
    assert (solid.line.dash, dotted.line.dash) == ("solid", "dot")
    assert list(dotted.y) == [0.6, 0.4]
    assert [t.name for t in (solid, *rest)] == ["run", "validation", "training"]
    assert drawn.layout.yaxis.range[0] < 0.4
    without = figures.training_figure(figures.TrainingInfo((replace(run, right=()),)))
    assert [t.name for t in without.data] == ["run"]


def test_the_runs_chart_has_chance_and_an_axis_of_shares() -> None:
    nothing = figures.training_figure(figures.TrainingInfo((), baseline=0.99, chance=0.1))
    assert nothing.layout.yaxis.range == pytest.approx((-0.03, 1.03)), "before the first point"
    assert {shape.y0 for shape in nothing.layout.shapes} == {0.99, 0.1}
    run = figures.RunCurve("run", (0, 1, 2), (0.3, 0.8, 0.9))
    drawn = figures.training_figure(figures.TrainingInfo((run,), baseline=0.95, chance=0.1))
    assert {shape.y0 for shape in drawn.layout.shapes} == {0.95, 0.1}
    assert "chance 10.0" in named(drawn)
    low, high = drawn.layout.yaxis.range
    assert 0 <= low < 0.1
    assert 0.95 < high <= 1.05

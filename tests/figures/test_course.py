"""The pictures of a strategy's steps say what the steps say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.errors import UnknownNameError
from pruneviz.figures.course import picture_of
from pruneviz.figures.population import (
    dominated,
    genes_figure,
    genes_info,
    population_figure,
    population_info,
)
from pruneviz.figures.removals import places, ranks_info
from pruneviz.figures.trials import trials_info
from pruneviz.figures.zeroing import AGAIN, BACK, LEARNING, REMOVED, ZEROED, zeroing_info
from pruneviz.strategies.course import Course, CourseStep
from pruneviz.strategies.details import Details, Population, Removals, Trial, Zeroing

NAN = math.nan


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    """Group "0" with 4 units, group "2" with 3, and the closed output."""
    layers = (nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Flatten(), nn.Linear(12, 2))
    return pv.trace(nn.Sequential(*layers), (3, 2, 2))


def course(graph: ChannelGraph, *details: Details | None, done: bool = False) -> Course:
    kept = np.ones(graph.num_units, bool)
    phases = ["search"] * len(details)
    if done:
        phases[-1] = "done"
    return Course(
        graph,
        "some",
        tuple(
            CourseStep(n, phase, "", 0.0, 100 - n, 10, 1.0, NAN, 0.1, 0.5, kept, told)
            for n, (phase, told) in enumerate(zip(phases, details, strict=True), 1)
        ),
    )


def test_ranks_are_among_those_left() -> None:
    assert places(np.array([3.0, NAN, 1.0, 2.0])).tolist()[2:] == [0.0, 0.5]
    assert np.isnan(places(np.array([3.0, NAN, 1.0, 2.0]))[1])


def removals(graph: ChannelGraph) -> Course:
    first = [[5.0, 1.0, 3.0, 4.0, 2.0, 6.0, 7.0]]
    second = [[1.0, NAN, 3.0, 4.0, 7.0, 5.0, 6.0]]
    rest = [[NAN] * (graph.num_units - 7)]
    after_first = np.ones((1, graph.num_units), bool)
    after_first[0, 1] = False
    after_second = after_first.copy()
    after_second[0, 0] = False
    return course(
        graph,
        None,
        Removals(np.hstack([first, rest]), after_first),
        Removals(np.hstack([second, rest]), after_second),
    )


def test_who_rises_who_falls_who_goes(graph) -> None:
    info = ranks_info(removals(graph))
    by_name = {line.name: line for line in info.lines}
    assert by_name["0, 1"].fate == "removed"
    assert by_name["0, 1"].rank == (0.0,)
    assert by_name["0, 0"].fate == "removed"
    assert by_name["0, 0"].rank == pytest.approx((4 / 6, 0.0))
    assert by_name["2, 0"].fate == "rose"
    assert by_name["2, 1"].fate == "fell"
    assert by_name["2, 1"].rank == pytest.approx((5 / 6, 3 / 5))
    assert "2 filters removed" in info.told
    early = ranks_info(removals(graph), step=2)
    assert (early.removals, early.whole, early.count("removed")) == (1, 2, 1)
    assert {line.name[0] for line in ranks_info(removals(graph), group="2").lines} == {"2"}
    assert not ranks_info(removals(graph), step=1).lines


def zeroings(graph: ChannelGraph, done: bool = False) -> Course:
    def told(*zero: int) -> Zeroing:
        return Zeroing(("0", "2"), (4, 3), np.arange(7.0), np.array([i in zero for i in range(7)]))

    steps = (told(0, 4), told(1), told(0, 1), None)
    return course(graph, *steps, done=done)


def test_zeroed_come_back_and_zeroed_again(graph) -> None:
    info = zeroing_info(zeroings(graph))
    assert info.states.tolist() == [
        [ZEROED, BACK, AGAIN],
        [LEARNING, ZEROED, ZEROED],
        [LEARNING] * 3,
        [LEARNING] * 3,
    ]
    assert info.epochs == (1, 2, 3)
    counts = "filters of all layers: 4 never zeroed, 1 zeroed, 1 came back, 1 zeroed again."
    assert zeroing_info(zeroings(graph), step=3).told == f"Step 3, {counts}"
    later = "The last zeroing was at step 3."
    assert info.told == f"Step 4, {counts} {later}", "as the slider counts"
    assert info.layer == "0"
    none_in_first = course(graph, Zeroing(("0", "2"), (4, 3), None, np.arange(7) == 4))
    assert zeroing_info(none_in_first).layer == "2", "the first has nothing to look at"
    assert picture_of(none_in_first).part == "2"
    other = zeroing_info(zeroings(graph), layer="2")
    assert other.states[0].tolist() == [ZEROED, BACK, BACK]
    assert other.norms[:, 0].tolist() == [4.0, 5.0, 6.0]
    final = zeroing_info(zeroings(graph, done=True))
    assert final.states[:, -1].tolist() == [REMOVED, REMOVED, LEARNING, LEARNING]
    with pytest.raises(UnknownNameError, match="layer whose filters are zeroed"):
        zeroing_info(zeroings(graph), layer="4")


def searched(graph: ChannelGraph) -> Course:
    return course(
        graph,
        Trial("0", 4, 0, 3, 2, 0.5, 0.9),
        Trial("0", 4, 0, 1, 1, 0.9, 0.9),
        Trial("2", 3, 0, 2, 1, 0.95, 0.9),
    )


def test_trials_pass_at_the_goal(graph) -> None:
    info = trials_info(searched(graph))
    assert [t.passed for t in info.trials] == [False, True, True]
    assert [name for name, _ in info.groups] == ["0", "2"]
    assert info.told.startswith("3 trials: 2 passed, 1 failed.")
    assert trials_info(searched(graph), 1).told.startswith("1 of 3 trials: 0 passed, 1 failed.")


def evolved(graph: ChannelGraph) -> Course:
    genes = np.array([[True] * 7, [True, False] + [True] * 5])
    return course(
        graph,
        Population(np.array([0.5, 0.8]), np.array([0.5, 1.0]), genes),
        Population(np.array([0.6, 0.8]), np.array([0.5, 0.75]), genes),
    )


def test_the_hypervolume_by_hand(graph) -> None:
    # 0.6 at half of the MACs, and 0.2 more at three quarters.
    assert dominated(((0.75, 0.8), (0.5, 0.6), (0.9, 0.7))) == pytest.approx(0.6 * 0.5 + 0.2 * 0.25)
    info = population_info(evolved(graph))
    assert info.hypervolume == pytest.approx((0.25, 0.35))
    assert info.front == (0, 1)
    assert len(population_info(evolved(graph), 1).generations) == 1


def test_the_network_that_is_taken_is_marked(graph) -> None:
    genes = np.array([[True] * 7, [True, False] + [True] * 5])
    judged = Population(np.array([0.5, 0.8]), np.array([0.5, 1.0]), genes)
    kept = np.ones(graph.num_units, bool)
    kept[1] = False
    before = course(graph, judged, None)
    assert population_info(before, 1).chosen is None
    taken = replace(before, steps=(before.steps[0], replace(before.steps[1], kept=kept)))
    info = population_info(taken)
    assert info.chosen == (1.0, 0.8)
    assert "with 100.0\N{NARROW NO-BREAK SPACE}% of the MACs is chosen" in info.told
    marked = [t for t in population_figure(info).data if t.name == "taken"]
    assert [(t.x, t.y) for t in marked] == [((1.0,), (0.8,))]


def test_genes_are_told_group_by_group(graph) -> None:
    kept = graph.prunable.copy()
    kept[1] = False
    info = genes_info(graph, kept)
    assert info.strips == ((True, False, True, True), (True, True, True))
    assert info.told == "1 of 7 genes are off: their filters are removed."
    assert genes_figure(info).data[0].z[0][1] == 0


@pytest.mark.parametrize("make", [removals, zeroings, searched, evolved])
@pytest.mark.parametrize("dark", [False, True])
def test_every_step_of_every_kind_is_drawn(graph, make, dark) -> None:
    made = make(graph)
    for step in (1, 2, None):
        picture = picture_of(made, step)
        assert picture.draw(dark=dark).data
        assert picture.told.endswith(".")
        for part in picture.parts:
            assert picture_of(made, step, part).draw(dark=dark).data
    assert made.figure(dark=dark).data


def test_steps_without_details_show_accuracy_and_macs(graph) -> None:
    figure = picture_of(course(graph, None, None)).draw()
    assert [trace.name for trace in figure.data] == ["accuracy", "MACs left"]

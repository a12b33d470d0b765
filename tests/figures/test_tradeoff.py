"""Accuracy against cost: the front, the intervals, the keys of a click."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest, norm

from pruneviz import figures
from tests.figures.levels import level, point


@pytest.mark.parametrize("count", [1, 7, 100, 10_000])
def test_wilson_is_what_scipy_gives(count: int) -> None:
    for successes in {0, 1, count // 3, count}:
        theirs = binomtest(successes, count).proportion_ci(0.95, method="wilson")
        z = float(norm.ppf(0.975))
        assert figures.wilson(successes / count, count, z) == pytest.approx(theirs, abs=1e-12)


def test_wilson_by_hand_and_at_the_ends() -> None:
    low, high = figures.wilson(0.5, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)
    assert figures.wilson(1.0, 10)[1] == 1.0
    assert figures.wilson(0.3, 0) == (0.0, 1.0)


def test_pareto_front() -> None:
    points = [(10, 0.9), (5, 0.8), (5, 0.7), (7, 0.75), (12, 0.9), (3, 0.5)]
    assert figures.pareto(points) == [5, 1, 0]


def test_tradeoff_front_and_click_keys() -> None:
    points = [point("base", 100, 0.98, "baseline"), point("p", 50, 0.9), point("q", 60, 0.8)]
    info = figures.tradeoff_info(points)
    assert info.front == ("p", "base")
    figure = figures.tradeoff_figure(info)
    keys = {row[0] for t in figure.data if t.customdata is not None for row in t.customdata}
    assert keys == {"base", "p", "q"}
    assert figures.tradeoff_info(points, "latency").points == ()


def test_the_whole_scale_has_chance_from_the_first_point_on() -> None:
    info = figures.tradeoff_info([point("base", 100, 0.98, "baseline")], chance=0.1)
    drawn = figures.tradeoff_figure(info, whole=True)
    assert tuple(drawn.layout.yaxis.range) == (0, 1.03)
    assert level(drawn) == {0.1}

"""The picture of one layer's filters."""

from __future__ import annotations

import numpy as np
import pytest

from pruneviz import figures
from tests.figures.networks import SCORES, small_graph


def test_layer_info_sorts_and_finds_the_threshold() -> None:
    kept = np.ones(9, bool)
    kept[[1, 3]] = False
    info = figures.layer_info(small_graph(), "a", SCORES, kept, by_hand=frozenset({3}))
    assert info.filters == (1, 3, 2, 0)
    assert info.dropped == (True, True, False, False)
    assert info.by_hand == (False, True, False, False)
    assert info.threshold == pytest.approx(0.25)
    kept[0] = False  # now the dropped ones are no longer the lowest: there is no threshold
    assert figures.layer_info(small_graph(), "a", SCORES, kept).threshold is None


def test_layer_figure_carries_filter_numbers_and_ties() -> None:
    info = figures.layer_info(small_graph(), "b", SCORES, criterion="l1")
    assert info.tied == ("c [1]", "c [2]", "c [0]")
    figure = figures.layer_figure(info)
    assert [row[0] for row in figure.data[0].customdata] == [1, 2, 0]

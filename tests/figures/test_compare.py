"""Two criteria compared: ranks within groups, Spearman's correlation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pruneviz import figures
from pruneviz.criteria import spearman
from tests.figures.networks import SCORES, small_graph


def test_spearman_by_hand() -> None:
    a, b = np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40])
    assert spearman(a, b) == pytest.approx(0.8)
    assert spearman(a, -a) == pytest.approx(-1)
    tied = spearman(np.array([1.0, 1, 2]), np.array([1.0, 2, 3]))
    assert tied == pytest.approx(math.sqrt(3) / 2)
    assert math.isnan(spearman(a, np.ones(4)))


def test_compare_info_ranks_within_groups() -> None:
    scores = {"l1": SCORES, "other": np.array([1.0, 2, 3, 4, 3, 1, 2, math.nan, math.nan])}
    info = figures.compare_info(small_graph(), scores, "l1", "other")
    assert list(info.unit) == [0, 1, 2, 3, 4, 5, 6]
    assert info.x.tolist() == pytest.approx([1, 0, 2 / 3, 1 / 3, 1, 0, 0.5])
    assert dict(info.by_group)["b"] == pytest.approx(1.0)
    assert info.disagreements(1) == [0]
    assert len(figures.compare_info(small_graph(), scores, "l1", "other", group="b").unit) == 3
    figures.compare_figure(info)
    assert len(figures.spearman_figure(info).data[0].y) == 2

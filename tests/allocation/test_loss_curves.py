"""Curves of loss between measured points: through them, convex, and powers of the error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneviz.allocation.loss_curves import SHARE, between, hull, loss_curve

WIDTH = 16
ERRORS = np.linspace(0.01, 1, WIDTH) ** 2


def test_hull_by_hand() -> None:
    x, y = hull(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.array([0.0, 3.0, 2.0, 4.0, 12.0]))
    assert x.tolist() == [0.0, 0.75, 1.0]
    assert y.tolist() == [0.0, 4.0, 12.0], "a curve never falls; corners above the hull are gone"


def test_a_power_of_the_error_is_met_everywhere() -> None:
    truth = 3 * ERRORS**1.5
    gone = np.array([8, 14])
    np.testing.assert_allclose(between(gone, truth[gone - 1], ERRORS), truth, rtol=1e-9)


def test_one_point_gives_a_multiple_of_the_error() -> None:
    np.testing.assert_allclose(
        between(np.array([4]), np.array([0.6]), ERRORS), ERRORS / ERRORS[3] * 0.6
    )


def test_a_loss_that_does_not_show_rises_with_the_error_all_the_same() -> None:
    """Images that say nothing (losses of zero) must not make the last units free."""
    curve = between(np.array([6, 12]), np.array([-0.01, 0.0]), ERRORS)
    np.testing.assert_allclose(curve, SHARE * ERRORS, rtol=1e-9)


@given(
    st.lists(st.floats(-0.1, 20), min_size=2, max_size=4),
    st.lists(st.floats(0, 5), min_size=WIDTH, max_size=WIDTH),
)
def test_curves_rise_and_pass_the_measured_points(losses: list[float], steps: list[float]) -> None:
    errors = np.cumsum(steps)
    gone = np.arange(2, 2 + 3 * len(losses), 3)
    values = between(gone, np.array(losses), errors)
    assert np.isfinite(values).all()
    assert (np.diff(values) >= -1e-9 * values[1:]).all()
    at = gone - 1
    wanted = np.maximum.accumulate(np.maximum(losses, SHARE * np.maximum(errors[at], 1e-9)))
    assert (values[at] <= wanted * (1 + 1e-9)).all(), "never above what was measured"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=4), st.booleans())
def test_the_curve_is_convex_below_its_points(losses: list[float], known: bool) -> None:
    gone = np.arange(3.0, 3 + 3 * len(losses), 3)
    curve = loss_curve(gone, np.array(losses), WIDTH, ERRORS if known else None)
    values = np.array([curve(k) for k in range(WIDTH)])
    assert values[0] == 0
    assert (np.diff(values, 2) >= -1e-9).all()
    if not known:
        for k, loss in zip(gone, np.maximum.accumulate(losses), strict=True):
            assert curve(int(k)) <= loss + 1e-4 * k / WIDTH + 1e-9


def test_beyond_the_last_point_a_straight_line_is_twice_as_steep() -> None:
    curve = loss_curve(np.array([4.0, 8.0]), np.array([0.0, 4.0]), WIDTH)
    assert curve(10) == pytest.approx(curve(8) + 2 * 2 * (curve(8) - curve(7)))

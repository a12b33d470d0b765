"""Numbers, ticks and axes as people read them."""

from __future__ import annotations

import pytest

from pruneviz.figures import style


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (41_223_424, "MACs", "41.2 M MACs"),
        (999, "units", "999 units"),
        (999_999, "", "1.00 M"),
        (0, "MACs", "0 MACs"),
        (0.0123, "s", "0.01 s"),
        (-1500, "", "−1.50 k"),
        (float("nan"), "MACs", "–"),
    ],
)
def test_si(value: float, unit: str, text: str) -> None:
    assert style.si(value, unit).replace(style.NARROW, " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.65923, "0.6592"),
        (-0.5, "−0.5"),
        (0.0, "0"),
        (4.6961e-6, "4.70×10⁻⁶"),
        (-2.5e12, "−2.50×10¹²"),
        (float("nan"), "–"),
    ],
)
def test_a_score_has_no_prefix_however_small(value: float, text: str) -> None:
    assert style.score(value) == text


def test_percent_change_points() -> None:
    plain = str.maketrans({style.NARROW: " "})
    assert style.percent(0.98765).translate(plain) == "98.8 %"
    assert style.change(50, 100).translate(plain) == "−50 %"
    assert style.change(110, 100).translate(plain) == "+10 %"
    assert style.points(0.93, 0.95).translate(plain) == "−2.0 points"
    assert style.points(0.95, 0.95).translate(plain) == "±0.0 points"


@pytest.mark.parametrize(
    "values", [(0.5,), (0.497, 0.5), (0.0, 1.0), (1.0,), (0.0,), (0.99, 0.995)]
)
def test_an_axis_of_accuracies_holds_them_and_no_two_ticks_read_alike(
    values: tuple[float, ...],
) -> None:
    """At chance level an axis read 50 %, 50 %, 50 %, 49 %."""
    axis = style.accuracy_axis(min(values), max(values))
    low, high = axis["range"]
    assert low < min(values)
    assert max(values) < high
    assert low >= -0.05 * (high - low)
    assert high <= 1 + 0.05 * (high - low), "a tick read 101 %"
    step = 0.01 if axis["tickformat"] == ".0%" else 0.001
    assert high - low >= 7 * step, "Plotly draws up to seven ticks"
    assert high - low >= 0.05, "noise does not fill the chart"


def test_names_below_an_axis_lie_flat_where_they_fit() -> None:
    few = style.name_ticks(["0", "3", "6"])
    assert (few["tickangle"], few["ticktext"]) == (0, ["0", "3", "6"])
    many = style.name_ticks([f"layer{i}.0.conv1" for i in range(100)])
    assert many["tickangle"] == -50
    assert many["tickvals"] == list(range(0, 100, 3))
    assert not style.name_ticks([])["ticktext"]


def test_a_share_that_rounds_to_nothing_says_that_it_is_something() -> None:
    assert style.share(0.0001) == "< 0.1\N{NARROW NO-BREAK SPACE}%"
    assert style.share(0.0) == style.percent(0.0)
    assert style.share(0.25) == style.percent(0.25)

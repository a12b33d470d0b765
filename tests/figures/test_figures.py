"""Figures say what the results say: infos are compared, drawings only checked to hold them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pruneviz import figures
from pruneviz.channels import ChannelGraph, Group, Layer
from pruneviz.criteria import spearman
from pruneviz.drawing import draw
from pruneviz.errors import InvalidValueError
from pruneviz.figures import overview, style
from pruneviz.figures.by_result import figure_of
from pruneviz.figures.lab import LabInfo, lab_figure
from pruneviz.figures.pretraining import PretrainingInfo, StudyCurve, pretraining_figure
from pruneviz.figures.race import RaceInfo, RacePoint, race_figure
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint


def small_graph() -> ChannelGraph:
    """A plain layer 'a', two tied layers 'b' and 'c', and a closed one 'out'."""

    def layer(name: str, group: str, units: list[int], **kwargs: object) -> Layer:
        values: dict[str, object] = {
            "kind": "conv2d",
            "in_channels": 3,
            "kernel": (3, 3),
            "conv_groups": 1,
            "positions": 64,
            "macs": 1000,
            "parameters": 100,
            "prunable": True,
            "reason": None,
            "maps_at": (),
            "weight": f"{name}.weight",
            **kwargs,
        }
        return Layer(
            name=name,
            group=group,
            groups=(group,),
            out_channels=len(units),
            units=np.array(units),
            **values,  # type: ignore[arg-type]
        )

    def group(name: str, layers: tuple[str, ...], width: int, start: int, ok: bool = True) -> Group:
        reason = None if ok else "is the network's output"
        return Group(name, layers, width, len(layers), ok, reason, True, "", start)

    return ChannelGraph(
        input_shape=(3, 8, 8),
        layers=(
            layer("a", "a", [0, 1, 2, 3]),
            layer("b", "b", [4, 5, 6]),
            layer("c", "b", [4, 5, 6]),
            layer("out", "out", [7, 8], prunable=False, reason="is the network's output"),
        ),
        groups=(
            group("a", ("a",), 4, 0),
            group("b", ("b", "c"), 3, 4),
            group("out", ("out",), 2, 7, ok=False),
        ),
        tensors=(),
        whole_groups=(),
    )


SCORES = np.array([0.4, 0.1, 0.3, 0.2, 3.0, 1.0, 2.0, math.nan, math.nan])


def test_overview_marks_dropped_tied_and_closed() -> None:
    kept = np.ones(9, bool)
    kept[[1, 3]] = False
    info = figures.overview_info(small_graph(), SCORES, kept, criterion="l1")
    assert [(x.name, x.filters, x.dropped) for x in info.layers] == [
        ("a", 4, 2),
        ("b", 3, 0),
        ("c", 3, 0),
        ("out", 2, 0),
    ]
    assert info.layers[1].tied == ("c",)
    assert info.layers[2].tied == ("b",)
    assert info.layers[3].reason == "is the network's output"
    column = info.drop[:, 0]
    assert column[: len(column) // 2].all()
    assert not column[len(column) // 2 :].any()
    assert np.all(np.diff(info.heat[len(column) // 2 :, 0]) >= 0)
    assert np.isnan(info.heat[:, 3]).all()


def test_overview_keeps_hand_picks_lowest_and_draws_every_layer() -> None:
    kept = np.ones(9, bool)
    kept[0] = False  # the best filter of 'a', picked by hand
    info = figures.overview_info(small_graph(), SCORES, kept)
    quarter = len(info.drop) // 4
    assert info.drop[:quarter, 0].all()
    assert info.heat[0, 0] == 1.0
    figure = figures.overview_figure(info)
    rows = [figure.layout[name] for name in ("xaxis", "xaxis2", "xaxis3")]
    assert all(row.ticks == "" for row in rows), "ticks that point at no name"
    doors = next(t for t in figure.data if t.name == "layers")
    assert [c[0] for c in doors.customdata] == ["a", "b", "c", "out"]
    assert "cannot be pruned: is the network's output" in doors.text[3]
    assert {t.name for t in figure.data} >= {"kept", "pruned", "cannot be pruned"}


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


def test_wilson_by_hand_and_at_the_ends() -> None:
    low, high = figures.wilson(0.5, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)
    assert figures.wilson(1.0, 10)[1] == 1.0
    assert figures.wilson(0.3, 0) == (0.0, 1.0)


def test_pareto_front() -> None:
    points = [(10, 0.9), (5, 0.8), (5, 0.7), (7, 0.75), (12, 0.9), (3, 0.5)]
    assert figures.pareto(points) == [5, 1, 0]


def point(key: str, macs: float, accuracy: float, kind: str = "plan") -> figures.TradeoffPoint:
    return figures.TradeoffPoint(key, key, kind, macs, macs / 10, accuracy, 100)  # type: ignore[arg-type]


def test_tradeoff_front_and_click_keys() -> None:
    points = [point("base", 100, 0.98, "baseline"), point("p", 50, 0.9), point("q", 60, 0.8)]
    info = figures.tradeoff_info(points)
    assert info.front == ("p", "base")
    figure = figures.tradeoff_figure(info)
    keys = {row[0] for t in figure.data if t.customdata is not None for row in t.customdata}
    assert keys == {"base", "p", "q"}
    assert figures.tradeoff_info(points, "latency").points == ()


def test_sensitivity_curves_start_at_the_baseline_and_leave_closed_groups_out() -> None:
    scan = Sensitivity(
        criterion="l1",
        split="val",
        baseline_correct=95,
        baseline_loss=0.1,
        images=100,
        total=100,
        ratios=(0.25, 0.5),
        points=(
            SensitivityPoint("a", 0.25, 1, 4, 90, 100, 0.3, 9, 0.1),
            SensitivityPoint("a", 0.5, 2, 4, 60, 100, 0.5, 8, 0.2),
            SensitivityPoint("b", 0.5, 1, 2, 80, 100, 0.5, 8, 0.2),
        ),
        closed=(("out", "is the network's output"),),
        final=True,
    )
    figure = figures.curves_figure(scan, tolerance=0.05)
    lines = [t for t in figure.data if t.mode == "lines+markers"]
    assert [t.name for t in lines] == ["a", "b"], "the closed group has no curve"
    assert list(lines[0].x) == [0.0, 0.25, 0.5]
    assert list(lines[0].y) == [0.95, 0.9, 0.6]
    assert "1 of 4 units pruned" in lines[0].customdata[1][1]
    heat = figures.sensitivity_heat_figure(scan).data[0]
    assert list(heat.y) == ["a", "b"]
    assert heat.z[1][0] is None


def test_every_result_has_a_picture_with_the_same_options() -> None:
    types = [t for t in figure_of.registry if t is not object]
    assert len(types) == 13
    for result in types:
        options = inspect.signature(result.figure).parameters
        assert [options[name].kind for name in ("dark", "height")] == [
            inspect.Parameter.KEYWORD_ONLY
        ] * 2, result
        assert (options["dark"].default, options["height"].default) == (False, None), result


def test_a_result_is_drawn_with_its_options() -> None:
    graph = small_graph()
    for dark in (False, True):
        figure = graph.figure(dark=dark, height=333)
        assert figure.layout.height == 333
        assert figure.data[0].marker.color == style.kept_colour(dark)
    with pytest.raises(InvalidValueError, match="no picture of a str"):
        draw("nothing")


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


def named(figure: Any) -> str:
    """What lines across the chart are called, in the legend or beside them."""
    in_legend = [s.name for s in figure.layout.shapes if s.showlegend]
    return " ".join([*in_legend, *(a.text or "" for a in figure.layout.annotations)])


def level(figure: Any) -> set[float]:
    return {shape.y0 for shape in figure.layout.shapes if shape.line.dash == "dot"}


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
            "", "test", 0.95, 0.5, (RacePoint("taylor", 0.5, 0, accuracy, 0, ((0.5, accuracy),)),),
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


def test_the_whole_scale_has_chance_from_the_first_point_on() -> None:
    info = figures.tradeoff_info([point("base", 100, 0.98, "baseline")], chance=0.1)
    drawn = figures.tradeoff_figure(info, whole=True)
    assert tuple(drawn.layout.yaxis.range) == (0, 1.03)
    assert level(drawn) == {0.1}


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_share_the_shape_and_differ_in_colour(dark: bool) -> None:
    info = figures.overview_info(small_graph(), SCORES)
    figure = figures.overview_figure(info, dark=dark)
    assert figure.data[0].marker.color == style.kept_colour(dark)
    assert style.kept_colour(True) != style.kept_colour(False)


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


def test_the_overview_frames_the_selected_layer_and_what_is_tied_to_it() -> None:
    layers = tuple(
        overview.OverviewLayer(name, "conv2d", 4, 0, 10, "g", tied, None)
        for name, tied in (("a", ("c",)), ("b", ()), ("c", ("a",)))
    )
    heat = np.zeros((overview.BINS, 3))
    info = overview.OverviewInfo("l1", layers, heat, heat.astype(bool), "a")
    frames = [s for s in overview.overview_figure(info).layout.shapes if s.line.width]
    assert [(s.x0, s.line.dash) for s in frames] == [(-0.5, None), (1.5, "dot")]


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

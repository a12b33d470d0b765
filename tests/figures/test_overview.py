"""The picture of all layers: their filters by score, what is pruned, coupled and closed."""

from __future__ import annotations

import numpy as np
import pytest

from pruneviz import figures
from pruneviz.figures import overview, style
from tests.figures.networks import SCORES, small_graph


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


def test_the_overview_frames_the_selected_layer_and_what_is_tied_to_it() -> None:
    layers = tuple(
        overview.OverviewLayer(name, "conv2d", 4, 0, 10, "g", tied, None)
        for name, tied in (("a", ("c",)), ("b", ()), ("c", ("a",)))
    )
    heat = np.zeros((overview.BINS, 3))
    info = overview.OverviewInfo("l1", layers, heat, heat.astype(bool), "a")
    frames = [s for s in overview.overview_figure(info).layout.shapes if s.line.width]
    assert [(s.x0, s.line.dash) for s in frames] == [(-0.5, None), (1.5, "dot")]


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_share_the_shape_and_differ_in_colour(dark: bool) -> None:
    info = figures.overview_info(small_graph(), SCORES)
    figure = figures.overview_figure(info, dark=dark)
    assert figure.data[0].marker.color == style.kept_colour(dark)
    assert style.kept_colour(True) != style.kept_colour(False)

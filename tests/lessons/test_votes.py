"""A class's answers as a figure."""

from __future__ import annotations

from pruneviz.figures.votes import votes_figure


def test_the_right_answer_is_marked_by_more_than_its_colour() -> None:
    figure = votes_figure(("Yes", "No: <b>never</b>"), (3, 4), 1)
    (bars,) = figure.data
    assert bars.x == (3, 4)
    assert bars.y == ("Yes", "No: &lt;b&gt;never&lt;/b&gt; ✓")
    assert bars.marker.color[0] != bars.marker.color[1]

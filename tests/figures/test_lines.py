"""Many lines as one trace."""

from __future__ import annotations

from pruneviz.figures.lines import joined


def test_a_gap_keeps_lines_apart_and_every_point_has_its_text() -> None:
    trace = joined([("a", (1, 2), (0.5, 0.6)), ("b", (1,), (None,))])
    assert trace == {
        "x": [1, 2, None, 1, None],
        "y": [0.5, 0.6, None, None, None],
        "text": ["a", "a", "a", "b", "b"],
    }
    assert joined([]) == {"x": [], "y": [], "text": []}

"""The levels that accuracies are read against: what answering without looking would give."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pruneviz.figures import style

NEAR = 0.5
"""How far below the lowest accuracy chance may lie to be drawn, as a share of their spread."""


def is_near(chance: float | None, accuracies: Iterable[float]) -> bool:
    """Tell whether chance level (0..1) lies among accuracies, or not far below the lowest.

    Where it lies far below, drawing it would press what is compared into a corner of the chart.
    """
    known = [value for value in accuracies if math.isfinite(value)]
    if chance is None or not math.isfinite(chance) or not known:
        return False
    low, high = min(known), max(known)
    return low - NEAR * (high - low) <= chance <= 1


def draw_chance(
    figure: Any,
    chance: float,
    *,
    across: bool = True,
    position: str = "top right",
    panel: tuple[int, int] | None = None,
) -> None:
    """Draw chance level as a thin dotted line with its name, across the chart or upright.

    Plotly counts lines in when it chooses an axis's range, so ask `is_near` first. `panel` is
    the row and column of one of several, from 1.
    """
    place = {} if panel is None else {"row": panel[0], "col": panel[1]}
    draw, at = (figure.add_hline, {"y": chance}) if across else (figure.add_vline, {"x": chance})
    draw(
        **at,
        line={"dash": "dot", "color": style.GREY, "width": 1},
        annotation={"text": f"chance {style.percent(chance)}", "font": {"size": 11}},
        annotation_position=position,
        **place,
    )

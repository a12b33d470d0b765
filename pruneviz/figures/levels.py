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


def draw_level(
    figure: Any,
    value: float,
    name: str,
    *,
    across: bool = True,
    dash: str = "dash",
    colour: str = style.GREY,
    width: float = 1.5,
) -> None:
    """Draw a line across the chart, or upright; its name stands in the legend.

    A label beside the line would lie on the curves that come near it. Plotly counts lines in when
    it chooses an axis's range.
    """
    draw, at = (figure.add_hline, {"y": value}) if across else (figure.add_vline, {"x": value})
    line = {"dash": dash, "color": colour, "width": width}
    draw(**at, line=line, name=name, showlegend=True, layer="below")
    figure.update_layout(showlegend=True)


def draw_baseline(figure: Any, accuracy: float) -> None:
    """Draw the unpruned network's accuracy (0..1)."""
    draw_level(figure, accuracy, f"baseline {style.percent(accuracy)}")


def draw_chance(
    figure: Any, chance: float, *, across: bool = True, panel: tuple[int, int] | None = None
) -> None:
    """Draw chance level (0..1) as a thin dotted line; ask `is_near` first.

    `panel` is the row and column of one of several, from 1; it has its level beside the line.
    """
    name = f"chance {style.percent(chance)}"
    if panel is None:
        draw_level(figure, chance, name, across=across, dash="dot", width=1)
        return
    figure.add_hline(
        y=chance,
        line={"dash": "dot", "color": style.GREY, "width": 1},
        annotation={"text": name, "font": {"size": 11}},
        annotation_position="top right",
        row=panel[0],
        col=panel[1],
    )

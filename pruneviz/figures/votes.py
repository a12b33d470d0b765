"""What a class answered: a bar an answer, the right one marked by more than its colour."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words

LINE = 44
"""Characters of an answer on one line."""


def votes_figure(
    choices: Sequence[str], counts: Sequence[int], right: int, *, dark: bool = False
) -> Any:
    """Draw how many chose each answer, the first on top; `right` is the index of the right one."""
    names = [
        "<br>".join(wrap(escape(text), LINE)) + (" ✓" if i == right else "")
        for i, text in enumerate(choices)
    ]
    told = [
        f"{text}{' (right)' if i == right else ''}: {count}"
        for i, (text, count) in enumerate(zip(choices, counts, strict=True))
    ]
    height = 60 + sum(22 + 16 * name.count("<br>") + 14 for name in names)
    figure = style.new_figure(dark, height, bargap=0.3)
    colours = [style.kept_colour(dark) if i == right else style.GREY for i in range(len(choices))]
    figure.add_trace(
        go.Bar(
            x=list(counts),
            y=names,
            orientation="h",
            marker_color=colours,
            text=[str(n) for n in counts],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_xaxes(visible=False, range=[0, 1.1 * max(1, *counts)])
    return words.describe(figure, "; ".join(told))

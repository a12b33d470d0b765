"""A layer's filters, by what accuracy does if each goes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from pruneviz.explain.alone import Alone
from pruneviz.figures import style, words


def alone_figure(alone: Alone, *, dark: bool = False, height: int = 280) -> Any:
    """Draw a bar a filter, the change of accuracy in points; the worst loss is the lowest."""
    figure = style.new_figure(dark, height)
    change = 100 * alone.change
    closed = np.isnan(change)
    told = [
        f"filter {i}: {style.percent(a)} ({style.points(a, alone.baseline)})"
        f"<br>loss {'+' if d >= 0 else style.MINUS}{abs(d):.3g}"
        for i, (a, d) in enumerate(zip(alone.accuracy, alone.loss, strict=True))
    ]
    figure.add_trace(
        go.Bar(
            x=np.flatnonzero(~closed).tolist(),
            y=change[~closed].tolist(),
            marker_color=[
                style.dropped_colour(dark) if c < 0 else style.kept_colour(dark)
                for c in change[~closed]
            ],
            customdata=[[int(i)] for i in np.flatnonzero(~closed)],
            text=[told[i] for i in np.flatnonzero(~closed)],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=f"filter of {style.short(alone.layer, 40)}")
    figure.update_yaxes(title_text="accuracy, points")
    return words.describe(figure, _in_words(alone))


def _in_words(alone: Alone) -> str:
    measured = [i for i in np.argsort(alone.accuracy).tolist() if np.isfinite(alone.accuracy[i])]
    text = (
        f"Accuracy with one of the {len(alone.accuracy)} filters of {alone.layer} removed; "
        f"{style.percent(alone.baseline)} with all of them."
    )
    if measured:
        worst = words.listed(
            (f"filter {i} {style.percent(alone.accuracy[i])}" for i in measured[:3]), 3
        )
        text += f" Lowest without: {worst}."
    closed = np.flatnonzero(~np.isfinite(alone.accuracy)).tolist()
    if closed:
        text += f" Cannot be removed: {words.listed(f'filter {i}' for i in closed)}."
    return text

"""What several networks take one image for: bars of the likeliest classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pruneviz.figures import style, words

MOST = 10
"""Classes shown at most: those that any of the networks finds likeliest."""


def answers_figure(
    answers: Mapping[str, Sequence[float]],
    classes: Sequence[str],
    *,
    truth: int | None = None,
    dark: bool = False,
    height: int = 340,
) -> Any:
    """Draw probabilities (classes,) of each network, by its name; the true class is marked."""
    figure = style.new_figure(dark, height, barmode="group", bargap=0.25, showlegend=True)
    table = np.array([np.asarray(row, float) for row in answers.values()])
    order = np.sort(np.argsort(-table.max(0), kind="stable")[:MOST])
    colours = (style.GREY, style.dropped_colour(dark), style.kept_colour(dark))
    names = [f"{classes[i]} ✓" if i == truth else classes[i] for i in order]
    for (name, _), row, colour in zip(answers.items(), table, colours, strict=False):
        figure.add_trace(
            go.Bar(
                x=names,
                y=row[order].tolist(),
                name=name,
                marker_color=colour,
                hovertemplate=f"%{{x}}: %{{y:.1%}}<extra>{name}</extra>",
            )
        )
    figure.update_xaxes(
        type="category", title_text="class (✓ is the true one)" * (truth is not None)
    )
    figure.update_yaxes(title_text="probability", tickformat=".0%", range=[0, 1.02])
    return words.describe(figure, _in_words(answers, classes, truth))


def _in_words(
    answers: Mapping[str, Sequence[float]], classes: Sequence[str], truth: int | None
) -> str:
    text = "Probabilities of the most likely classes. "
    if truth is not None:
        text += f"The true one is {classes[truth]}. "
    likeliest = {name: int(np.argmax(row)) for name, row in answers.items()}
    parts = (f"{n}: {classes[i]}, {style.percent(answers[n][i])}" for n, i in likeliest.items())
    return f"{text}{'; '.join(parts)}."

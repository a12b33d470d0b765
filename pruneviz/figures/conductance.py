"""Filters of a layer by the classes they speak for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pruneviz.explain.conductance import Conductance
from pruneviz.figures import style, words

MOST = 20
"""Classes shown at most: those with the strongest filters."""


def conductance_figure(
    conductance: Conductance,
    classes: Sequence[str],
    *,
    chosen: int | None = None,
    dark: bool = False,
    height: int | None = None,
) -> Any:
    """Draw a heat map, a row a class and a column a filter; a chosen filter is framed."""
    strength = np.nan_to_num(np.abs(conductance.by_class).max(1), nan=-1.0)
    shown = np.sort(np.argsort(-strength, kind="stable")[:MOST])
    shown = shown[strength[shown] >= 0]
    values = conductance.by_class[shown]
    limit = float(np.abs(values).max()) if values.size else 1.0
    figure = style.new_figure(dark, height or 110 + 20 * len(shown))
    middle = "#1B1E23" if dark else "#FFFFFF"
    figure.add_trace(
        go.Heatmap(
            z=values.tolist(),
            x=list(range(values.shape[1])),
            y=[classes[i] for i in shown],
            zmin=-limit,
            zmax=limit,
            colorscale=[[0, style.BLUE], [0.5, middle], [1, style.VERMILLION]],
            colorbar={"title": {"text": "for (+), against (-)", "side": "right"}, "thickness": 12},
            hovertemplate="class %{y}, filter %{x}: %{z:.3g}<extra></extra>",
        )
    )
    if chosen is not None:
        figure.add_vrect(
            x0=chosen - 0.5, x1=chosen + 0.5, line={"color": style.ink(dark), "width": 2}
        )
    figure.update_yaxes(type="category", autorange="reversed", title_text="class")
    figure.update_xaxes(
        title_text=f"filter of {style.short(conductance.layer, 40)}", showgrid=False
    )
    return words.describe(figure, _in_words(conductance, classes))


def _in_words(conductance: Conductance, classes: Sequence[str]) -> str:
    values = conductance.by_class
    text = (
        f"Conductance of the {values.shape[1]} filters of {conductance.layer} for each class, on "
        f"{conductance.images:,} images."
    )
    if not np.isfinite(values).any():
        return text
    for name, place in (("for", np.nanargmax(values)), ("against", np.nanargmin(values))):
        row, column = divmod(int(place), values.shape[1])
        text += f" Contributes most {name} a class: filter {column}, {name} {classes[row]}."
    return text

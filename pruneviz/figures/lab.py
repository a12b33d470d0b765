"""A claim of a paper: what was measured, seed by seed, beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style


@dataclass(frozen=True)
class LabInfo:
    """What the picture of one result shows."""

    title: str
    measure: str
    findings: tuple[tuple[str, float, tuple[float, ...]], ...]
    """(label, mean, one value a seed)."""
    published: tuple[tuple[str, float], ...] = ()


def lab_figure(info: LabInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a row a finding: its mean and its seeds; published figures as vertical lines."""
    rows = len(info.findings)
    figure = style.new_figure(dark, height or 150 + 34 * rows, hovermode="closest")
    figure.add_trace(
        go.Scatter(
            x=[value for _, _, values in info.findings for value in values],
            y=[label for label, _, values in info.findings for _ in values],
            mode="markers",
            name="one seed",
            marker={"color": style.GREY, "size": 7, "symbol": "line-ns-open"},
            hovertemplate="%{y}: %{x:.4f}<extra>one seed</extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[mean for _, mean, _ in info.findings],
            y=[label for label, _, _ in info.findings],
            mode="markers",
            name="mean, measured by us",
            marker={"color": style.kept_colour(dark), "size": 12},
            hovertemplate="<b>%{y}</b>: %{x:.4f}<extra>mean</extra>",
        )
    )
    for label, value in info.published:
        figure.add_vline(
            x=value,
            line={"dash": "dash", "color": style.dropped_colour(dark), "width": 1.5},
            annotation={"text": f"published: {label}", "font": {"size": 10}},
        )
    figure.update_xaxes(title_text=info.measure)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(title={"text": info.title, "y": 0.99}, margin={"t": 64})
    return figure

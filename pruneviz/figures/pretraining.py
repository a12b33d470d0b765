"""Pretrained versus from scratch: accuracy as parameters go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_chance, is_near
from pruneviz.studies.pretraining import PretrainingStudy

MOST_IN_A_ROW = 3
WITHIN = 0.01
"""How far below its baseline a pruned network may be in the study."""
ROW = 400
"""Pixels a row of panels."""


@dataclass(frozen=True)
class StudyCurve:
    """One start of one network on one data set: means over the seeds, and their spread."""

    panel: str
    start: str
    removed: tuple[float, ...]
    accuracy: tuple[float, ...]
    spread: tuple[float, ...]
    """Standard deviations; 0 for a single seed."""
    seeds: int

    @property
    def largest(self) -> int:
        """The place of the largest reduction within a point of the baseline; 0 where none is."""
        held = [i for i, a in enumerate(self.accuracy) if a >= self.accuracy[0] - WITHIN]
        return max(held, key=lambda i: self.removed[i], default=0)


@dataclass(frozen=True)
class PretrainingInfo:
    """The curves, panel by panel."""

    split: str
    curves: tuple[StudyCurve, ...]
    chance: Mapping[str, float] = field(default_factory=dict)
    """By panel: accuracy (0..1) of always predicting the most common class, where it is known."""

    @property
    def panels(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(c.panel for c in self.curves))

    @property
    def told(self) -> str:
        """The picture in words."""
        return " ".join(
            f"{c.panel}, {c.start}: {style.percent(c.accuracy[0])} unpruned; within a point of it "
            f"with up to {style.percent(c.removed[c.largest], 0)} of the parameters pruned."
            for c in self.curves
            if c.accuracy
        )


def pretraining_info(study: PretrainingStudy) -> PretrainingInfo:
    """Gather the seeds of each network, data set and start; test accuracy where all have it."""
    tested = all(p.test_accuracy is not None for run in study.runs for p in run.points)
    grouped: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
    for run in study.runs:
        for start in dict.fromkeys(p.start for p in run.points):
            curve = [
                (p.removed, (p.test_accuracy or 0.0) if tested else p.accuracy)
                for p in run.points
                if p.start == start
            ]
            grouped.setdefault((f"{run.network} on {run.data}", start), []).append(curve)
    curves = []
    for (panel, start), seeds in grouped.items():
        columns = list(zip(*seeds, strict=False))
        values = [[accuracy for _, accuracy in column] for column in columns]
        curves.append(
            StudyCurve(
                panel=panel,
                start=start,
                removed=tuple(sum(x for x, _ in c) / len(c) for c in columns),
                accuracy=tuple(sum(v) / len(v) for v in values),
                spread=tuple(_deviation(v) for v in values),
                seeds=len(seeds),
            )
        )
    chance = {
        f"{run.network} on {run.data}": run.chance for run in study.runs if run.chance is not None
    }
    return PretrainingInfo("test" if tested else "validation", tuple(curves), chance)


def pretraining_figure(
    info: PretrainingInfo, *, dark: bool = False, height: int | None = None
) -> Any:
    """Draw a panel (three in a row at most) for each network and data set, a curve each start.

    Behind each curve lies the band within one point of its baseline, the accuracy before pruning;
    a star marks the largest reduction within it.
    """
    panels = info.panels
    rows = max(1, math.ceil(len(panels) / MOST_IN_A_ROW))
    columns = max(1, math.ceil(len(panels) / rows))
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        subplot_titles=[panel.replace(" on ", "<br>on ") for panel in panels],
        horizontal_spacing=0.06 / columns,
        vertical_spacing=0.3 / rows,
    )
    figure.update_annotations(font_size=13)
    figure.update_layout(template=style.template(dark), height=height or ROW * rows)
    figure.update_layout(margin={"t": 36 + style.TOOLBAR})
    looks = {
        "pretrained": (style.kept_colour(dark), "circle", "solid"),
        "scratch": (style.dropped_colour(dark), "square", "dash"),
    }
    for curve in info.curves:
        colour, symbol, dash = looks.get(curve.start, (style.GREY, "diamond", "dot"))
        place = {
            "row": panels.index(curve.panel) // columns + 1,
            "col": panels.index(curve.panel) % columns + 1,
        }
        if curve.removed:
            figure.add_trace(_band(curve, colour), **place)
        figure.add_trace(
            go.Scatter(
                x=curve.removed,
                y=curve.accuracy,
                error_y={"type": "data", "array": curve.spread, "thickness": 1.2},
                mode="lines+markers",
                name=curve.start,
                legendgroup=curve.start,
                showlegend=curve.panel == panels[0],
                line={"color": colour, "dash": dash},
                marker={"symbol": symbol, "size": 9},
                hovertemplate=(
                    f"<b>{curve.start}</b>, {curve.seeds} seeds<br>%{{y:.2%}} with %{{x:.0%}} "
                    "of the parameters pruned<extra></extra>"
                ),
            ),
            **place,
        )
        if curve.largest:
            figure.add_trace(_star(curve, colour), **place)
    measured = [value for curve in info.curves for value in curve.accuracy]  # panels share an axis
    for number, panel in enumerate(panels):
        if panel in info.chance and is_near(info.chance[panel], measured):
            where = number // columns + 1, number % columns + 1
            draw_chance(figure, info.chance[panel], panel=where)
    figure.update_xaxes(tickformat=".0%")
    name = "parameters pruned (bands: baseline minus 1 point)"
    figure.update_xaxes(title_text=name, row=rows, col=(columns + 1) // 2)
    figure.update_yaxes(tickformat=".3~%")
    figure.update_yaxes(title_text=f"accuracy (top-1, {info.split})", col=1)
    return words.describe(figure, info.told)


def _star(curve: StudyCurve, colour: str) -> Any:
    """The largest reduction within the band."""
    return go.Scatter(
        x=[curve.removed[curve.largest]],
        y=[curve.accuracy[curve.largest]],
        mode="markers",
        marker={"symbol": "star", "size": 18, "color": colour, "line": {"width": 1}},
        legendgroup=curve.start,
        showlegend=False,
        hovertemplate=(
            f"<b>{curve.start}</b>: the largest reduction within a point of the baseline, "
            "%{x:.0%}<extra></extra>"
        ),
    )


def _band(curve: StudyCurve, colour: str) -> Any:
    """The baseline, which is the first point, and the point below it, as far as the curve goes."""
    top, low = curve.accuracy[0], curve.accuracy[0] - WITHIN
    first, last = curve.removed[0], curve.removed[-1]
    return go.Scatter(
        x=[first, last, last, first],
        y=[top, top, low, low],
        fill="toself",
        mode="lines",
        line={"color": colour, "width": 0},
        opacity=0.4,
        legendgroup=curve.start,
        showlegend=False,
        hoverinfo="skip",
    )


def _deviation(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))

"""How accuracy falls as one group of filters after another is pruned alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_baseline, draw_chance, draw_level, is_near
from pruneviz.figures.stats import wilson
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint

MOST_NAMED = 12
"""Groups up to which the legend names them; more tell their names where one points."""


def _colours(count: int, dark: bool) -> list[str]:
    """One colour a group, running along the network from its input to its output."""
    from plotly.colors import sample_colorscale

    scale = "Plasma" if dark else "Viridis"
    low, high = (0.15, 0.95) if dark else (0.0, 0.85)
    steps = [low + (high - low) * i / max(1, count - 1) for i in range(count)]
    return [str(c) for c in sample_colorscale(scale, steps)]


def curves_figure(
    scan: Sensitivity,
    *,
    tolerance: float | None = None,
    highlight: Iterable[str] = (),
    titles: Mapping[str, str] | None = None,
    dark: bool = False,
    height: int = 520,
) -> Any:
    """Draw accuracy against ratio, one line a group; bands (Wilson, 95 %) for the highlighted.

    `titles` are what people call the groups, by name; see `pruneviz.stages.group_titles`.
    """
    figure = style.new_figure(dark, height, hovermode="closest")
    marked = set(highlight)
    colours = dict(zip(scan.groups, _colours(len(scan.groups), dark), strict=True))
    for group in scan.groups:
        curve = scan.curve(group)
        if not curve:
            continue
        x = [0.0, *(p.ratio for p in curve)]
        y = [scan.baseline, *(p.accuracy for p in curve)]
        if group in marked or (not marked and len(scan.groups) == 1):
            _band(figure, scan, curve, colours[group])
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="lines+markers",
                name=(titles or {}).get(group, group),
                line={"color": colours[group], "width": 3 if group in marked else 1.6},
                marker={"size": 6},
                opacity=1.0 if not marked or group in marked else 0.3,
                customdata=[[(titles or {}).get(group, group), _hover(p)] for p in (None, *curve)],
                hovertemplate="<b>%{customdata[0]}</b><br>accuracy %{y:.1%}"
                "<br>%{customdata[1]}<extra></extra>",
            )
        )
    for trace in figure.data if len(scan.groups) > MOST_NAMED else ():
        trace.showlegend = False
    draw_baseline(figure, scan.baseline)
    if tolerance is not None:
        least = scan.baseline - tolerance
        name = f"allowed drop, to {style.percent(least)}"
        draw_level(figure, least, name, dash="dot", colour=style.dropped_colour(dark))
    levels = [scan.baseline, *(p.accuracy for p in scan.points)]
    if scan.chance is not None and is_near(scan.chance, levels):
        draw_chance(figure, scan.chance)
        levels.append(scan.chance)
    figure.update_layout(legend={"font": {"size": 11}})
    figure.update_xaxes(title_text="pruning ratio of the group", tickformat=".0%")
    figure.update_xaxes(range=[-0.02, 1.0])
    if tolerance is not None:
        levels.append(scan.baseline - tolerance)
    axis = style.accuracy_axis(min(levels), max(levels))
    figure.update_yaxes(title_text="accuracy (top-1)", **axis)
    return words.describe(figure, scan_in_words(scan, titles))


def _band(figure: Any, scan: Sensitivity, curve: Sequence[SensitivityPoint], colour: str) -> None:
    images = curve[0].images
    bounds = [wilson(scan.baseline, images), *(wilson(p.accuracy, p.images) for p in curve)]
    x = [0.0, *(p.ratio for p in curve)]
    shade = colour.replace("rgb(", "rgba(").replace(")", ", 0.18)")
    figure.add_trace(
        go.Scatter(
            x=[*x, *reversed(x)],
            y=[*(high for _, high in bounds), *(low for low, _ in reversed(bounds))],
            fill="toself",
            fillcolor=shade,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _hover(point: SensitivityPoint | None) -> str:
    if point is None:
        return "nothing pruned"
    low, high = wilson(point.accuracy, point.images)
    return (
        f"{point.removed} of {point.width} units pruned<br>saves "
        f"{style.percent(point.macs_saved)} of all MACs<br>95 % interval {style.percent(low)} "
        f"to {style.percent(high)} on {point.images} images"
    )


def sensitivity_heat_figure(
    scan: Sensitivity,
    *,
    titles: Mapping[str, str] | None = None,
    dark: bool = False,
    height: int | None = None,
) -> Any:
    """Draw the same as a heat map: a row a group, a column a ratio, colour the accuracy left."""
    ratios = sorted({p.ratio for p in scan.points})
    rows = list(scan.groups)
    values = {(p.group, p.ratio): p for p in scan.points}
    z = [[p.accuracy if (p := values.get((g, r))) else None for r in ratios] for g in rows]
    text = [[_hover(p) if (p := values.get((g, r))) else "" for r in ratios] for g in rows]
    figure = style.new_figure(dark, height or max(220, 90 + 18 * len(rows)))
    figure.add_trace(
        go.Heatmap(
            z=z,
            x=[f"{r:.0%}" for r in ratios],
            y=[(titles or {}).get(g, g) for g in rows],
            text=text,
            zmin=0,
            zmax=max(scan.baseline, 1e-9),
            colorscale=style.SCALE_DARK if dark else style.SCALE,
            colorbar={"title": "accuracy", "tickformat": ".0%", "thickness": 12},
            xgap=1,
            ygap=1,
            hoverongaps=False,
            hovertemplate="<b>%{y}</b><br>accuracy %{z:.1%}<br>%{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="pruning ratio", showgrid=False, type="category")
    figure.update_yaxes(
        autorange="reversed",
        showgrid=False,
        tickfont={"size": 10},
        tickvals=[(titles or {}).get(g, g) for g in rows],
        ticktext=[style.short_title((titles or {}).get(g, g)) for g in rows],
    )
    return words.describe(figure, scan_in_words(scan, titles))


def scan_in_words(scan: Sensitivity, titles: Mapping[str, str] | None = None) -> str:
    """Both pictures in words: the groups that lose most and least where most is pruned."""
    text = f"Accuracy against pruning ratio of {style.counted(len(scan.groups), 'group')}, "
    text += f"each pruned alone by {scan.criterion}; baseline {style.percent(scan.baseline)}."
    ends = [p for g in scan.groups if (p := _most_pruned(scan, g)) is not None]
    ends.sort(key=lambda p: p.accuracy)
    for name, point in zip(
        ("lowest", "highest"), (ends[0], ends[-1]) if ends else (), strict=False
    ):
        title = (titles or {}).get(point.group, point.group)
        text += (
            f" The {name}: {title}, {style.percent(point.accuracy)} with "
            f"{point.removed} of {point.width} units pruned."
        )
    return text


def _most_pruned(scan: Sensitivity, group: str) -> SensitivityPoint | None:
    measured = [p for p in scan.curve(group) if p.images]
    return max(measured, key=lambda p: p.removed, default=None)

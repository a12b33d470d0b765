"""An evolution: every network of every generation, the front, and how far the front has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.channels import ChannelGraph
from pruneviz.figures import style, words
from pruneviz.figures.stats import pareto
from pruneviz.stages import group_titles
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import BoolArray, Population


@dataclass(frozen=True)
class PopulationInfo:
    """What the picture of an evolution shows."""

    generations: tuple[tuple[tuple[float, float], ...], ...]
    """Each generation's networks as (MACs left, accuracy), fractions."""
    hypervolume: tuple[float, ...]
    """Of each generation's front; see `dominated`."""
    whole: int
    """Generations of the whole course, so that the axis does not jump."""
    chosen: tuple[float, float] | None = None
    """The network of the last generation that is taken, once one is: MACs left, accuracy."""

    @property
    def front(self) -> tuple[int, ...]:
        """Networks of the last generation that no other beats in both, cheapest first."""
        return tuple(pareto(self.generations[-1])) if self.generations else ()

    @property
    def told(self) -> str:
        """The picture in words."""
        if not self.generations:
            return "No generation has been judged yet."
        last = self.generations[-1]
        cheap, best = last[self.front[0]], last[self.front[-1]]
        return (
            f"Generation {style.of(len(self.generations) - 1, self.whole - 1)}: "
            f"{len(last)} networks, {len(self.front)} on the front, "
            f"from {style.percent(cheap[1])} accuracy with "
            f"{style.percent(cheap[0])} of the MACs to {style.percent(best[1])} with "
            f"{style.percent(best[0])}. Hypervolume {self.hypervolume[-1]:.3f}, "
            f"{self.hypervolume[0]:.3f} in the first generation." + self._taken
        )

    @property
    def _taken(self) -> str:
        if self.chosen is None:
            return ""
        macs, accuracy = self.chosen
        return (
            f" The network with {style.percent(macs)} of the MACs is chosen, "
            f"{style.percent(accuracy)} before training."
        )


def population_info(course: Course, step: int | None = None) -> PopulationInfo:
    """Gather the generations up to a step."""
    shown = [s.details for s in course.until(step).steps if isinstance(s.details, Population)]
    points = tuple(tuple(zip(d.macs.tolist(), d.accuracy.tolist(), strict=True)) for d in shown)
    return PopulationInfo(
        generations=points,
        hypervolume=tuple(dominated(p) for p in points),
        whole=sum(isinstance(s.details, Population) for s in course.steps),
        chosen=_chosen(course.until(step)),
    )


def _chosen(course: Course) -> tuple[float, float] | None:
    """The network of the last generation that the steps after it go on with."""
    last, after = None, None
    for step in course.steps:
        if isinstance(step.details, Population):
            last, after = step.details, None
        else:
            after = step
    if last is None or after is None or last.genes is None:
        return None
    own = after.kept[course.graph.prunable]
    same = np.flatnonzero((last.genes == own).all(axis=1))
    return (float(last.macs[same[0]]), float(last.accuracy[same[0]])) if len(same) else None


def dominated(points: tuple[tuple[float, float], ...]) -> float:
    """Hypervolume, 0..1: the area of (MACs saved) x accuracy that the networks dominate.

    The sum over the front, cheapest first, of the step in accuracy times the MACs saved.
    """
    area, reached = 0.0, 0.0
    for index in pareto(points):
        macs, accuracy = points[index]
        area += max(0.0, 1 - macs) * (accuracy - reached)
        reached = accuracy
    return area


def population_figure(info: PopulationInfo, *, dark: bool = False, height: int = 380) -> Any:
    """Draw the networks on accuracy and MACs, and the hypervolume by generation beside them."""
    figure = make_subplots(rows=1, cols=2, column_widths=[0.66, 0.34], horizontal_spacing=0.06)
    figure.update_layout(template=style.template(dark), height=height, hovermode="closest")
    *before, last = info.generations or ((),)
    past = [(number, p) for number, points in enumerate(before) for p in points]
    traces = [
        go.Scatter(
            x=[p[0] for _, p in past],
            y=[p[1] for _, p in past],
            mode="markers",
            name="earlier generations",
            marker={"color": style.GREY, "size": 5},
            opacity=0.4,
            text=[f"generation {number}" for number, _ in past],
            hovertemplate="%{text}: %{y:.1%} with %{x:.1%} of the MACs<extra></extra>",
        ),
        go.Scatter(
            x=[p[0] for p in last],
            y=[p[1] for p in last],
            mode="markers",
            name=f"generation {max(len(info.generations) - 1, 0)}",
            marker={"color": style.kept_colour(dark), "size": 8},
            hovertemplate="%{y:.1%} with %{x:.1%} of the MACs<extra></extra>",
        ),
        go.Scatter(
            x=[last[i][0] for i in info.front],
            y=[last[i][1] for i in info.front],
            mode="lines+markers",
            name="front",
            line={"color": style.dropped_colour(dark), "width": 1.5, "shape": "hv"},
            marker={"symbol": "square-open", "size": 11, "color": style.dropped_colour(dark)},
            hovertemplate="on the front: %{y:.1%} with %{x:.1%} of the MACs<extra></extra>",
        ),
    ]
    if info.chosen is not None:
        mark = {"symbol": "star", "size": 16, "color": style.ink(dark)}
        macs, accuracy = info.chosen
        traces.append(
            go.Scatter(
                x=[macs],
                y=[accuracy],
                mode="markers",
                name="taken",
                marker=mark,
                hovertemplate="chosen: %{y:.1%} with %{x:.1%} of the MACs<extra></extra>",
            )
        )
    for trace in traces:
        figure.add_trace(trace, row=1, col=1)
    figure.add_trace(
        go.Scatter(
            x=list(range(len(info.hypervolume))),
            y=list(info.hypervolume),
            mode="lines+markers",
            name="hypervolume",
            showlegend=False,
            line={"color": style.kept_colour(dark)},
            hovertemplate="generation %{x}: hypervolume %{y:.3f}<extra></extra>",
        ),
        row=1,
        col=2,
    )
    figure.update_xaxes(title_text="MACs left", tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text="accuracy, without training", tickformat=".0%", row=1, col=1)
    figure.update_xaxes(
        title_text="generation",
        range=[-0.3, max(info.whole - 1, 1) + 0.3],
        **style.whole_ticks(info.whole),
        row=1,
        col=2,
    )
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero", side="right", row=1, col=2)
    return words.describe(figure, info.told)


@dataclass(frozen=True)
class GenesInfo:
    """One network's genes: a strip a group, a cell a unit."""

    titles: tuple[str, ...]
    strips: tuple[tuple[bool, ...], ...]
    """Group by group: True for units that stay."""

    @property
    def told(self) -> str:
        """The picture in words."""
        kept, units = sum(map(sum, self.strips)), sum(map(len, self.strips))
        return f"{units - kept:,} of {units:,} genes are off: their filters are removed."


def genes_info(graph: ChannelGraph, kept: BoolArray) -> GenesInfo:
    """Lay out which units a network keeps, (num_units,), group by group."""
    titles = group_titles(graph)
    groups = graph.prunable_groups
    return GenesInfo(
        titles=tuple(titles[g.name] for g in groups),
        strips=tuple(tuple(kept[g.start : g.start + g.width].tolist()) for g in groups),
    )


def genes_figure(info: GenesInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a cell a gene: filled where the unit stays."""
    figure = style.new_figure(dark, height or 90 + 18 * len(info.strips))
    width = max(map(len, info.strips), default=1)
    z = [[*map(float, strip), *[np.nan] * (width - len(strip))] for strip in info.strips]
    figure.add_trace(
        go.Heatmap(
            z=z,
            y=list(range(len(z))),
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=1,
            ygap=3,
            hoverongaps=False,
            colorscale=[[0, style.dropped_colour(dark)], [1, style.kept_colour(dark)]],
            customdata=[["stays" if on else "removed" for on in strip] + [""] * (width - len(strip))
                        for strip in info.strips],
            text=[["" if on else "×" for on in strip] + [""] * (width - len(strip))
                  for strip in info.strips],
            texttemplate="%{text}" if width <= 64 else None,
            hovertemplate="unit %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="unit of the group", showgrid=False)
    figure.update_yaxes(
        autorange="reversed",
        showgrid=False,
        tickvals=list(range(len(z))),
        ticktext=[style.short_title(title, 30) for title in info.titles],
    )
    return words.describe(figure, info.told)

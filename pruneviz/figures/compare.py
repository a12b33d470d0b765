"""Two criteria side by side: do they want to drop the same filters?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from pruneviz.channels import ChannelGraph
from pruneviz.criteria.agreement import farthest_apart, relative_ranks, spearman
from pruneviz.figures import style, words


@dataclass(frozen=True, eq=False)
class CompareInfo:
    """Ranks of the same units by two criteria, and how well they agree."""

    first: str
    second: str
    unit: npt.NDArray[np.int64] = field(repr=False)
    group: tuple[str, ...] = field(repr=False)
    """(units,) the group of each."""
    label: tuple[str, ...] = field(repr=False)
    x: npt.NDArray[np.float64] = field(repr=False)
    """(units,) rank within the group by the first criterion, 0 lowest to 1 highest."""
    y: npt.NDArray[np.float64] = field(repr=False)
    by_group: tuple[tuple[str, float], ...]
    """Spearman's correlation in each group of at least three units."""
    overall: float
    """Spearman's correlation over all units together."""

    @property
    def told(self) -> str:
        """The scatter in words."""
        return (
            f"{len(self.unit):,} units, one dot each: rank by {self.first} on the x-axis, by "
            f"{self.second} on the y-axis. Spearman's correlation over all of them is "
            f"{style.signed(self.overall)}."
        )

    @property
    def told_by_group(self) -> str:
        """The correlations by group in words."""
        known = sorted((value, name) for name, value in self.by_group if value == value)
        text = f"Spearman's correlation of {self.first} and {self.second} in "
        text += style.counted(len(self.by_group), "group")
        if not known:
            return f"{text}."
        (low, worst), (high, best) = known[0], known[-1]
        ends = f"lowest {style.signed(low)} in {worst}, highest {style.signed(high)} in {best}"
        return f"{text}: {ends}."

    def disagreements(self, count: int = 10) -> list[int]:
        """Positions of the units on which the two criteria differ most."""
        return farthest_apart(self.x, self.y, count)


def compare_info(
    graph: ChannelGraph,
    scores: Mapping[str, npt.NDArray[np.float64]],
    first: str,
    second: str,
    *,
    group: str | None = None,
    comparable: Mapping[str, npt.NDArray[np.float64]] | None = None,
) -> CompareInfo:
    """Gather two criteria's ranks over all prunable units, or over one group's.

    `comparable` are the scores in which units of different groups compete, if not the raw ones.
    """
    units, names, labels, xs, ys, by_group = [], [], [], [], [], []
    a, b = scores[first], scores[second]
    over_all = scores if comparable is None else comparable
    for g in graph.groups:
        index = np.arange(g.start, g.start + g.width)
        index = index[np.isfinite(a[index]) & np.isfinite(b[index])]
        if not g.prunable or not len(index) or group not in (None, g.name):
            continue
        if len(index) >= 3:
            by_group.append((g.name, spearman(a[index], b[index])))
        xs.append(relative_ranks(a[index]))
        ys.append(relative_ranks(b[index]))
        units.append(index)
        names += [g.name] * len(index)
        labels += [f"{g.name} [{unit - g.start}]" for unit in index]
    unit = np.concatenate(units) if units else np.empty(0, np.int64)
    empty = np.empty(0)
    return CompareInfo(
        first=first,
        second=second,
        unit=unit,
        group=tuple(names),
        label=tuple(labels),
        x=np.concatenate(xs) if xs else empty,
        y=np.concatenate(ys) if ys else empty,
        by_group=tuple(by_group),
        overall=spearman(over_all[first][unit], over_all[second][unit]),
    )


def compare_figure(
    info: CompareInfo,
    kept: npt.NDArray[np.bool_] | None = None,
    *,
    dark: bool = False,
    height: int = 420,
) -> Any:
    """Draw one dot a unit: its rank by the first criterion against its rank by the second."""
    figure = style.new_figure(dark, height, clickmode="event+select")
    gone = np.zeros(len(info.unit), bool) if kept is None else ~kept[info.unit]
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"dash": "dot", "color": style.GREY, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for flag, name, colour, symbol in (
        (False, "kept", style.kept_colour(dark), "circle"),
        (True, "pruned", style.dropped_colour(dark), "x"),
    ):
        at = np.flatnonzero(gone == flag)
        figure.add_trace(
            go.Scatter(
                x=info.x[at],
                y=info.y[at],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 7, "opacity": 0.65, "symbol": symbol},
                customdata=[[int(info.unit[i]), info.label[i]] for i in at],
                hovertemplate="<b>%{customdata[1]}</b><br>"
                + f"{info.first}: rank %{{x:.0%}}<br>{info.second}: rank %{{y:.0%}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text=f"rank by {info.first}", tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(title_text=f"rank by {info.second}", tickformat=".0%", range=[-0.03, 1.03])
    pruned = f" {int(gone.sum()):,} are pruned." if gone.any() else ""
    return words.describe(figure, info.told + pruned)


def spearman_figure(info: CompareInfo, *, dark: bool = False, height: int = 320) -> Any:
    """Draw Spearman's correlation of the two criteria in each group."""
    figure = style.new_figure(dark, height, showlegend=False)
    names = [name for name, _ in info.by_group]
    figure.add_trace(
        go.Bar(
            x=list(range(len(names))),
            y=[value for _, value in info.by_group],
            marker_color=style.kept_colour(dark),
            customdata=[[name] for name in names],
            hovertemplate="<b>%{customdata[0]}</b><br>Spearman %{y:.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(
        **style.name_ticks(names),
        showgrid=False,
    )
    figure.update_yaxes(title_text="Spearman correlation", range=[-1, 1])
    return words.describe(figure, info.told_by_group)

"""Accuracy against cost: the picture in which every plan is a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_chance, is_near
from pruneviz.figures.stats import pareto, wilson

Kind = Literal["baseline", "plan", "cut", "control", "fine-tuned", "running"]
Axis = Literal["macs", "params", "latency"]

TITLES = {
    "macs": "MACs per image",
    "params": "parameters",
    "latency": "measured time (unpruned: 100 %)",
}


@dataclass(frozen=True)
class TradeoffPoint:
    """A network that was measured: what it costs and how accurate it is."""

    key: str
    """Names the point for whoever clicks it."""
    label: str
    kind: Kind
    macs: float
    params: float
    accuracy: float
    images: int = 0
    latency: float | None = None
    """Measured time as a fraction of the unpruned network's, both timed side by side."""
    current: bool = False
    series: str = ""
    """Points of one series are joined by a line."""

    def cost(self, axis: Axis) -> float | None:
        """The point's place on the chosen axis."""
        return {"macs": self.macs, "params": self.params, "latency": self.latency}[axis]


@dataclass(frozen=True)
class TradeoffInfo:
    """The points, and which of them nothing beats."""

    axis: Axis
    points: tuple[TradeoffPoint, ...]
    front: tuple[str, ...]
    """Keys on the Pareto front, cheapest first."""
    chance: float | None = None
    """Accuracy (0..1) of always predicting the most common class."""

    @property
    def told(self) -> str:
        """The picture in words."""
        known = {p.key: p for p in self.points}
        text = f"{style.counted(len(self.points), 'network')} by accuracy and {TITLES[self.axis]}"
        base = next((p for p in self.points if p.kind == "baseline"), None)
        if base is not None:
            text += f"; baseline {self._where(base)}"
        now = next((p for p in self.points if p.current), None)
        if now is not None and now is not base:
            text += f"; the current plan {self._where(now)}"
        front = [self._where(known[key]) for key in self.front if known[key] is not base]
        return f"{text}. On the Pareto front: {words.listed(front)}." if front else f"{text}."

    def _where(self, point: TradeoffPoint) -> str:
        cost = point.cost(self.axis) or 0.0
        shown = style.percent(cost) if self.axis == "latency" else style.si(cost)
        return f"{style.percent(point.accuracy)} at {shown}"


def tradeoff_info(
    points: list[TradeoffPoint], axis: Axis = "macs", chance: float | None = None
) -> TradeoffInfo:
    """Gather the points that have a place on the axis, and their Pareto front."""
    shown = [p for p in points if p.cost(axis) is not None]
    front = pareto([(float(p.cost(axis) or 0), p.accuracy) for p in shown])
    return TradeoffInfo(axis, tuple(shown), tuple(shown[i].key for i in front), chance)


def tradeoff_figure(
    info: TradeoffInfo, *, dark: bool = False, height: int = 420, whole: bool = False
) -> Any:
    """Draw accuracy against cost; points can be clicked (`customdata` starts with the key).

    With `whole`, the accuracy runs from 0 to 100 % whatever the points are: for a chart that grows.
    """
    figure = style.new_figure(dark, height, clickmode="event+select", hovermode="closest")
    by_key = {p.key: p for p in info.points}
    front = [by_key[key] for key in info.front]
    if len(front) > 1:
        figure.add_trace(
            go.Scatter(
                x=[p.cost(info.axis) for p in front],
                y=[p.accuracy for p in front],
                mode="lines",
                line={"color": style.GREY, "width": 1.5, "shape": "hv", "dash": "dot"},
                name="Pareto front",
                hoverinfo="skip",
            )
        )
    _join(figure, info, dark)
    looks: dict[Kind, tuple[str, str, int]] = {
        "plan": (style.kept_colour(dark), "circle", 9),
        "cut": (style.GREY, "circle", 6),
        "control": (style.kept_colour(dark), "circle-open", 8),
        "running": (style.ORANGE, "diamond-open", 11),
        "fine-tuned": ("#2FC79A" if dark else style.GREEN, "diamond", 12),
        "baseline": (style.ink(dark), "star", 14),
    }
    names = {
        "plan": "repaired",
        "cut": "before repair",
        "control": "random filters, repaired",
        "running": "fine-tuning",
        "fine-tuned": "fine-tuned",
        "baseline": "baseline",
    }
    for kind, (colour, symbol, size) in looks.items():
        points = [p for p in info.points if p.kind == kind]
        if points:
            figure.add_trace(
                go.Scatter(
                    x=[p.cost(info.axis) for p in points],
                    y=[p.accuracy for p in points],
                    mode="markers",
                    name=names[kind]
                    + (f" {style.percent(points[0].accuracy)}" if kind == "baseline" else ""),
                    marker={
                        "color": colour,
                        "symbol": symbol,
                        "size": size,
                        "line": {
                            "width": [3 if p.current else 1 for p in points],
                            "color": [
                                style.dropped_colour(dark) if p.current else colour for p in points
                            ],
                        },
                    },
                    customdata=[[p.key, _hover(p)] for p in points],
                    hovertemplate="%{customdata[1]}<extra></extra>",
                    unselected={"marker": {"opacity": 1}},
                )
            )
    base = next((p for p in info.points if p.kind == "baseline"), None)
    if base is not None:
        figure.add_hline(  # its star is in the legend
            y=base.accuracy, line={"dash": "dash", "color": style.GREY, "width": 1}, opacity=0.7
        )
    figure.update_xaxes(title_text=TITLES[info.axis], rangemode="tozero", exponentformat="SI")
    if info.axis == "latency":
        figure.update_xaxes(tickformat=".0%")
    _scale(figure, info, whole or len(info.points) < 2)
    return words.describe(figure, info.told)


def _scale(figure: Any, info: TradeoffInfo, whole: bool) -> None:
    """Choose the range of accuracies, and draw chance level if it lies in it or near."""
    shown = [0.0, 1.0] if whole else [p.accuracy for p in info.points]
    if info.chance is not None and is_near(info.chance, shown):
        draw_chance(figure, info.chance)
        shown.append(info.chance)
    axis = style.accuracy_axis(min(shown), max(shown))
    figure.update_yaxes(title_text="accuracy (top-1)", **axis)
    if whole:
        figure.update_yaxes(range=[0, 1.03])


def _join(figure: Any, info: TradeoffInfo, dark: bool) -> None:
    """Join the points of each series, cheapest first, in the colour of their kind."""
    for series in dict.fromkeys(p.series for p in info.points if p.series):
        line = sorted(
            (p for p in info.points if p.series == series), key=lambda p: p.cost(info.axis) or 0
        )
        control = any(p.kind == "control" for p in line)
        cut = any(p.kind == "cut" for p in line)
        figure.add_trace(
            go.Scatter(
                x=[p.cost(info.axis) for p in line],
                y=[p.accuracy for p in line],
                mode="lines",
                line={
                    "color": style.GREY if cut else style.kept_colour(dark),
                    "width": 1.5 if cut or control else 2,
                    "dash": "dot" if control else "solid",
                },
                hoverinfo="skip",
                showlegend=False,
            )
        )


def _hover(point: TradeoffPoint) -> str:
    lines = [f"<b>{point.label}</b>", f"accuracy {style.percent(point.accuracy)}"]
    if point.images:
        low, high = wilson(point.accuracy, point.images)
        lines[-1] += f" ({style.percent(low)} to {style.percent(high)}, {point.images} images)"
    lines.append(f"{style.si(point.macs, 'MACs')}, {style.si(point.params, 'parameters')}")
    if point.latency is not None:
        lines.append(f"{style.percent(point.latency)} of the unpruned network's time")
    return "<br>".join(lines)

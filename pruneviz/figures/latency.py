"""Measured time beside MACs: a bar a network, and time against the width of one group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.latency import Latency, Timing, WidthLatency


@dataclass(frozen=True)
class LatencyInfo:
    """Milliseconds of a batch: medians and quartiles; the first network is the baseline.

    `promised` is what the time would be if it followed the MACs; None where they are unknown.
    """

    names: tuple[str, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    promised: tuple[float | None, ...]
    batch_size: int
    threads: int


@dataclass(frozen=True)
class WidthsInfo:
    """Milliseconds of a batch against the units that stay in one group, narrowest first."""

    group: str
    widths: tuple[int, ...]
    median: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    promised: tuple[float | None, ...]
    steps: tuple[int, ...]
    """Widths at which time really drops."""
    batch_size: int
    threads: int


def latency_info(latency: Latency) -> LatencyInfo:
    """Gather what the bars need."""
    timings = latency.timings
    return LatencyInfo(
        tuple(t.name for t in timings),
        tuple(1e3 * t.median for t in timings),
        tuple(1e3 * t.low for t in timings),
        tuple(1e3 * t.high for t in timings),
        _promised(timings),
        latency.batch_size,
        latency.threads,
    )


def widths_info(measured: WidthLatency, title: str | None = None) -> WidthsInfo:
    """Gather what the curve needs; `title` is the group's on a screen."""
    timings = measured.latency.timings[::-1]
    return WidthsInfo(
        title or measured.group,
        measured.widths[::-1],
        tuple(1e3 * t.median for t in timings),
        tuple(1e3 * t.low for t in timings),
        tuple(1e3 * t.high for t in timings),
        _promised(measured.latency.timings)[::-1],
        measured.steps,
        measured.latency.batch_size,
        measured.latency.threads,
    )


def _promised(timings: tuple[Timing, ...]) -> tuple[float | None, ...]:
    first = timings[0]
    return tuple(
        1e3 * first.median * t.macs / first.macs if t.macs is not None and first.macs else None
        for t in timings
    )


def latency_figure(info: LatencyInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a bar per network, its quartiles, and a mark where its MACs alone would put it."""
    tall = height if height is not None else 130 + 46 * len(info.names)
    figure = style.new_figure(dark, tall, bargap=0.45)
    names = [style.wrapped(style.short(n, 44), 22) for n in info.names]
    place = list(range(len(names)))
    figure.add_trace(
        go.Bar(
            x=list(info.median),
            y=place,
            orientation="h",
            name="measured (median, quartiles)",
            marker={
                "color": style.kept_colour(dark),
                "opacity": [0.55, *[1.0] * (len(names) - 1)],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [h - m for h, m in zip(info.high, info.median, strict=True)],
                "arrayminus": [m - w for m, w in zip(info.median, info.low, strict=True)],
                "color": style.ink(dark),
                "thickness": 1.5,
            },
            customdata=[_told(info, i) for i in place],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    known = [(m, i) for i, m in enumerate(info.promised) if m is not None and i > 0]
    if known:
        figure.add_trace(
            go.Scatter(
                x=[m for m, _ in known],
                y=[i for _, i in known],
                mode="markers",
                name="if time scaled with MACs",
                marker={
                    "symbol": "line-ns",
                    "size": 26,
                    "line": {"width": 3, "color": style.dropped_colour(dark)},
                },
                hovertemplate="if time scaled with MACs: %{x:.3g} ms<extra></extra>",
            )
        )
    figure.update_yaxes(tickvals=place, ticktext=names, autorange="reversed", showgrid=False)
    figure.update_yaxes(ticklabelstandoff=6)
    figure.update_xaxes(title_text=_axis(info.batch_size, info.threads), rangemode="tozero")
    return words.describe(figure, _in_words(info))


def widths_figure(info: WidthsInfo, *, dark: bool = False, height: int = 320) -> Any:
    """Draw time against width with its quartiles, what the MACs promise, and the real steps."""
    figure = style.new_figure(dark, height, hovermode="x unified")
    colour = style.kept_colour(dark)
    figure.add_trace(
        go.Scatter(
            x=[*info.widths, *info.widths[::-1]],
            y=[*info.high, *info.low[::-1]],
            fill="toself",
            mode="lines",
            line={"width": 0},
            fillcolor=colour,
            opacity=0.2,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=list(info.widths),
            y=list(info.median),
            mode="lines+markers",
            name="measured (median, quartiles)",
            line={"color": colour},
            hovertemplate="%{y:.3g} ms",
        )
    )
    if all(m is not None for m in info.promised):
        figure.add_trace(
            go.Scatter(
                x=list(info.widths),
                y=list(info.promised),
                mode="lines",
                name="if time scaled with MACs",
                line={"color": style.dropped_colour(dark), "dash": "dot"},
                hovertemplate="%{y:.3g} ms",
            )
        )
    at = dict(zip(info.widths, info.median, strict=True))
    figure.add_trace(
        go.Scatter(
            x=list(info.steps),
            y=[at[w] for w in info.steps],
            mode="markers",
            name="widths where time really drops",
            marker={
                "symbol": "diamond",
                "size": 12,
                "color": colour,
                "line": {"width": 2, "color": style.ink(dark)},
            },
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(title_text=f"units kept in {style.short(info.group, 30)}")
    figure.update_yaxes(title_text=_axis(info.batch_size, info.threads), rangemode="tozero")
    return words.describe(figure, _widths_in_words(info))


def _axis(batch_size: int, threads: int) -> str:
    images = "image" if batch_size == 1 else f"batch of {batch_size}"
    return f"ms per {images}, {threads} thread{'s' if threads > 1 else ''}"


def _told(info: LatencyInfo, index: int) -> str:
    lines = [
        f"<b>{info.names[index]}</b>",
        f"{info.median[index]:.3g} ms ({info.low[index]:.3g} to {info.high[index]:.3g})",
    ]
    if index:
        lines.append(f"{info.median[0] / info.median[index]:.2f} times as fast")
        promised = info.promised[index]
        if promised:
            fewer = info.median[0] / promised
            lines.append(f"{fewer:.2f} times fewer MACs" if math.isfinite(fewer) else "")
    return "<br>".join(filter(None, lines))


def _in_words(info: LatencyInfo) -> str:
    rows = []
    for i, name in enumerate(info.names):
        promised = info.promised[i]
        fewer = f" ({promised:.3g} ms if time scaled with MACs)" if i and promised else ""
        rows.append(f"{name} {info.median[i]:.3g} ms{fewer}")
    return f"Median time, {_axis(info.batch_size, info.threads)}: {', '.join(rows)}."


def _widths_in_words(info: WidthsInfo) -> str:
    if not info.widths:
        return "No width has been measured yet."
    ends = " to ".join(
        f"{info.median[i]:.3g} ms with {style.counted(info.widths[i], 'unit')}" for i in (-1, 0)
    )
    steps = " and ".join(map(str, info.steps)) or "none"
    return f"Median time against the width of {info.group}: {ends}. Widths where it drops: {steps}."

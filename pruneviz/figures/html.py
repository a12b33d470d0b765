"""What a notebook shows of a result: a small table with sparklines, readable without JavaScript.

Everything takes the notebook's own text colour, so it is readable on dark and light ground alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import singledispatch
from html import escape
from typing import Any

import numpy as np

from pruneviz.allocation import Allocation
from pruneviz.channels import ChannelGraph
from pruneviz.cost import Cost
from pruneviz.criteria import Ranking
from pruneviz.errors import InvalidValueError
from pruneviz.evaluation import Evaluation
from pruneviz.figures.stats import wilson
from pruneviz.figures.style import si
from pruneviz.latency import Latency, WidthLatency
from pruneviz.plan import Plan
from pruneviz.sensitivity_result import Sensitivity
from pruneviz.strategies.course import Course
from pruneviz.strategies.registry import title_of

ROWS = 24
"""Rows of a table; how many more there are is said below it."""
WIDTH, HEIGHT, POINTS = 96, 18, 96


class Picture(str):
    """HTML that was made here; all other text is escaped."""

    __slots__ = ()


@singledispatch
def html_of(result: object) -> str:
    """The result as a table of HTML."""
    raise InvalidValueError(
        f"No table shows a result of the type {type(result).__name__}; use .to_frame()."
    )


@html_of.register
def _(graph: ChannelGraph) -> str:
    open_groups = graph.prunable_groups
    title = (
        f"{len(graph.layers)} layers, {sum(g.width for g in open_groups):,} prunable units in "
        f"{len(open_groups)} of {len(graph.groups)} groups"
    )
    rows = (
        (g.name, len(g.layers), g.width, "yes" if g.prunable else f"no: {g.reason or ''}")
        for g in graph.groups
    )
    return table(title, ("group", "layers", "width", "prunable"), rows)


@html_of.register
def _(plan: Plan) -> str:
    ratios, gone = plan.ratios(), plan.by_group()
    title = f"{len(plan):,} units pruned, plan {plan.digest[:8]}"
    rows = (
        (g.name, g.width, len(gone.get(g.name, ())), meter(ratios.get(g.name, 0.0)))
        for g in plan.graph.prunable_groups
    )
    return table(title, ("group", "width", "pruned", "pruning ratio"), rows)


@html_of.register
def _(cost: Cost) -> str:
    left = [
        after / before if before else 1.0
        for after, before in zip(cost.layer_macs, cost.baseline_layer_macs, strict=True)
    ]
    rows = [
        ("MACs", si(cost.baseline_macs), si(cost.macs), f"{cost.macs_ratio:.1%}", sparkline(left)),
        ("parameters", si(cost.baseline_params), si(cost.params), f"{cost.params_ratio:.1%}", ""),
    ]
    return table("Cost of one image", ("", "unpruned", "now", "left", "MACs left by layer"), rows)


@html_of.register
def _(ranking: Ranking) -> str:
    title = f"{ranking.graph.num_units:,} units ranked on {ranking.images:,} images"
    rows = []
    for name in ranking.criteria:
        scores = ranking.of(name)
        scores = np.sort(scores[np.isfinite(scores)])
        middle = float(np.median(scores)) if scores.size else math.nan
        low, high = (float(scores[0]), float(scores[-1])) if scores.size else (math.nan, math.nan)
        rows.append((name, f"{low:.3g}", f"{middle:.3g}", f"{high:.3g}", sparkline(scores)))
    return table(title, ("criterion", "lowest", "median", "highest", "sorted scores"), rows)


@html_of.register
def _(evaluation: Evaluation) -> str:
    if not evaluation.classes:  # a task of one's own
        title = f"{evaluation.measure} {evaluation.accuracy:.4g} on {evaluation.count:,} images"
        return table(f"{title}, loss {evaluation.loss:.4g}", (), ())
    low, high = wilson(evaluation.accuracy, evaluation.count)
    title = (
        f"Accuracy (top-1) {evaluation.accuracy:.2%} on {evaluation.count:,} images "
        f"(95 % interval {low:.1%} to {high:.1%}), loss {evaluation.loss:.4g}"
    )
    rows = (
        (name, "no image" if math.isnan(value) else meter(value))
        for name, value in zip(evaluation.classes, evaluation.per_class, strict=True)
    )
    return table(title, ("class", "accuracy"), rows)


@html_of.register
def _(scan: Sensitivity) -> str:
    done = "" if scan.final else f", {scan.progress:.0%} done"
    title = (
        f"Sensitivity by {scan.criterion}, {scan.after}, on {scan.images:,} images{done}; "
        f"unpruned {scan.baseline:.1%}"
    )
    rows: list[tuple[Any, ...]] = []
    for group in scan.groups:
        points = [p for p in scan.curve(group) if p.images and p.removed]
        values = [p.accuracy for p in points]
        last = points[-1] if points else None
        lowest = "" if last is None else f"{last.accuracy:.1%} at {last.removed} of {last.width}"
        rows.append((group, sparkline([scan.baseline, *values], 0.0, 1.0), lowest))
    rows += [(name, "", f"cannot be pruned: {why}") for name, why in scan.closed]
    return table(title, ("group", "accuracy against ratio", "most pruned"), rows)


@html_of.register
def _(latency: Latency) -> str:
    title = (
        f"Latency of {latency.batch_size} image{'s' if latency.batch_size > 1 else ''} on "
        f"{latency.device}, {latency.threads} thread{'s' if latency.threads > 1 else ''}, "
        f"{latency.runtime}"
    )
    rows = (
        (
            t.name,
            f"{1e3 * t.median:.3g} ms",
            f"{1e3 * t.low:.3g} to {1e3 * t.high:.3g}",
            f"{latency.speedup(t.name):.2f}",
            "" if not t.macs else f"{latency.macs_ratio(t.name):.2f}",
            sparkline(t.seconds, 0.0),
        )
        for t in latency.timings
    )
    heads = ("network", "median", "quartiles", "times as fast", "times fewer MACs", "passes")
    return table(title, heads, rows) + note(f"{latency.warning} {latency.disturbance}")


@html_of.register
def _(widths: WidthLatency) -> str:
    times = [t.median for t in widths.latency.timings]
    rows = [(widths.group, ", ".join(map(str, widths.steps)), sparkline(times[::-1], 0.0))]
    return table("Latency against width", ("group", "time drops at", "narrow to wide"), rows)


@html_of.register
def _(allocation: Allocation) -> str:
    rows = (
        (
            c.name,
            f"{c.macs_ratio:.1%}",
            meter(c.accuracy),
            f"{c.loss:.4g}",
            "taken" if c.plan == allocation.plan else "",
        )
        for c in allocation.candidates
    )
    return table("Plans for the budget", ("plan", "MACs left", "repaired", "loss", ""), rows)


@html_of.register
def _(course: Course) -> str:
    rows = (
        (s.step, s.phase, s.message, si(s.macs, "MACs"), f"{s.accuracy:.1%}") for s in course.steps
    )
    line = sparkline(s.accuracy for s in course.steps)
    title = f"{len(course.steps)} steps of {title_of(course.strategy)}"
    heads = ("step", "phase", "event", "MACs", "accuracy")
    return table(title, heads, rows) + f"<div>accuracy {line}</div>"


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with a caption; what is no `Picture` is escaped."""
    every = list(rows)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in every[:ROWS])
    head = "".join(f'<th style="text-align:left">{escape(h)}</th>' for h in heads)
    more = note(f"… and {len(every) - ROWS} more: .to_frame()") if len(every) > ROWS else ""
    return (
        f'<div style="color:inherit"><div style="margin:.2em 0"><b>{escape(title)}</b></div>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def note(text: str) -> str:
    """A line below a table; nothing where there is nothing to say."""
    return f'<div style="opacity:.75">{escape(text.strip())}</div>' if text.strip() else ""


def _cell(value: Any) -> str:
    shown = value if isinstance(value, Picture) else escape(str(value))
    return f'<td style="text-align:left">{shown}</td>'


def meter(share: float) -> Picture:
    """A share 0..1 as a bar and a percentage."""
    long = 60 * min(max(share, 0.0), 1.0)
    return _svg(
        f'<rect width="60" height="8" y="5" fill="currentColor" opacity="0.15"/>'
        f'<rect width="{long:.1f}" height="8" y="5" fill="currentColor" opacity="0.6"/>'
        f'<text x="66" y="13" font-size="11" fill="currentColor">{share:.1%}</text>',
        f"{share:.1%}",
        116,
    )


def sparkline(
    values: Iterable[float], low: float | None = None, high: float | None = None
) -> Picture:
    """Values as a line, from `low` to `high`: by default the least and the greatest."""
    numbers = [float(v) for v in values]
    if len(numbers) > POINTS:
        numbers = [numbers[i] for i in np.linspace(0, len(numbers) - 1, POINTS).round().astype(int)]
    finite = [v for v in numbers if math.isfinite(v)]
    if not finite:
        return Picture("")
    bottom = min(finite) if low is None else low
    spread = (max(finite) if high is None else high) - bottom or 1.0
    step = (WIDTH - 4) / max(1, len(numbers) - 1)
    points = " ".join(
        f"{2 + i * step:.1f},{HEIGHT - 2 - (HEIGHT - 4) * (v - bottom) / spread:.1f}"
        for i, v in enumerate(numbers)
        if math.isfinite(v)
    )
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    return _svg(line, f"from {finite[0]:.3g} to {finite[-1]:.3g}", WIDTH)


def _svg(inside: str, says: str, width: int) -> Picture:
    return Picture(
        f'<svg width="{width}" height="{HEIGHT}" role="img" aria-label="{escape(says)}">'
        f"{inside}</svg>"
    )

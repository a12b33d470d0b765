"""Accuracy by class: of one network, and which classes pay for the pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pruneviz.evaluation import Evaluation
from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_level
from pruneviz.figures.stats import wilson


@dataclass(frozen=True)
class ClassesInfo:
    """Accuracy by class of the unpruned and of the pruned network."""

    classes: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    counts: tuple[int, ...] = ()

    @property
    def told(self) -> str:
        """The picture in words."""
        rows = sorted(zip(self.after, self.before, self.classes, strict=True),
                      key=lambda row: row[0] - row[1])  # fmt: skip
        worse = [f"{c}, {style.percent(b)} to {style.percent(a)}" for a, b, c in rows if a < b]
        text = (
            f"Accuracy in {style.counted(len(self.classes), 'class', 'classes')}, before and after."
        )
        if not worse:
            return f"{text} No class has lost accuracy."
        return f"{text} {len(worse)} have lost accuracy; most of all: {words.listed(worse, 3)}."


def classes_figure(info: ClassesInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a line a class from its accuracy before to its accuracy after, worst loss on top."""
    order = sorted(range(len(info.classes)), key=lambda i: info.before[i] - info.after[i])
    names = [info.classes[i] for i in order]
    counts = [info.counts[i] if info.counts else 0 for i in order]
    figure = style.new_figure(dark, height or max(220, 90 + 22 * len(names)))
    for i, name in zip(order, names, strict=True):
        figure.add_trace(
            go.Scatter(
                x=[info.before[i], info.after[i]],
                y=[name, name],
                mode="lines",
                line={"color": style.GREY, "width": 2},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    for label, values, colour, symbol in (
        ("before", info.before, style.GREY, "circle-open"),
        ("after", info.after, style.kept_colour(dark), "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=[values[i] for i in order],
                y=names,
                mode="markers",
                name=label,
                marker={"color": colour, "symbol": symbol, "size": 10},
                customdata=[[c] for c in counts],
                hovertemplate=f"<b>%{{y}}</b><br>{label} %{{x:.1%}}"
                + ("<br>%{customdata[0]} images" if info.counts else "")
                + "<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="accuracy in the class", tickformat=".0%", range=[-0.02, 1.02])
    figure.update_yaxes(type="category")
    return words.describe(figure, info.told)


def evaluation_figure(evaluation: Evaluation, *, dark: bool = False, height: int = 320) -> Any:
    """Draw the accuracy in each class, and over all of them as a line with its 95 % interval."""
    figure = style.new_figure(dark, height)
    figure.add_trace(
        go.Bar(
            showlegend=False,
            x=list(evaluation.classes),
            y=list(evaluation.per_class),
            marker_color=style.kept_colour(dark),
            hovertemplate="<b>%{x}</b><br>accuracy %{y:.1%}<extra></extra>",
        )
    )
    low, high = wilson(evaluation.accuracy, evaluation.count)
    figure.add_hrect(y0=low, y1=high, fillcolor=style.GREY, opacity=0.2, line_width=0)
    name = f"all classes: {style.percent(evaluation.accuracy)} of {evaluation.count:,} images"
    draw_level(figure, evaluation.accuracy, name, colour=style.ink(dark))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text="accuracy in the class", tickformat=".0%", range=[0, 1.05])
    return words.describe(figure, _in_words(evaluation))


def _in_words(evaluation: Evaluation) -> str:
    rows = sorted((a, c) for a, c in zip(evaluation.per_class, evaluation.classes, strict=True)
                  if a == a)  # fmt: skip
    text = (
        f"Accuracy in {style.counted(len(evaluation.classes), 'class', 'classes')}; "
        f"{style.percent(evaluation.accuracy)} of all {evaluation.count:,} images."
    )
    if not rows:
        return text
    lowest = ", ".join(f"{name} {style.percent(value)}" for value, name in rows[:3])
    return f"{text} The lowest: {lowest}."

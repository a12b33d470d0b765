"""Fine-tuning, epoch by epoch, of one run or of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_baseline, draw_chance, is_near

What = Literal["accuracy", "loss"]

TALL = 340
NAME = 16
"""Pixels of the figure, and what the name of each run adds."""


@dataclass(frozen=True)
class RunCurve:
    """One run's course. Epoch 0 is the pruned network before any training, where it is known."""

    label: str
    epochs: tuple[float, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...] = ()
    val_loss: tuple[float, ...] = ()
    batches: tuple[tuple[float, float], ...] = ()
    """(epochs done, training loss) every few mini-batches, as far as it was recorded."""
    right: tuple[tuple[float, float], ...] = ()
    """(epochs done, share of the training images right) every few mini-batches, likewise."""


@dataclass(frozen=True)
class TrainingInfo:
    """The runs in the picture and the accuracy of the unpruned network."""

    runs: tuple[RunCurve, ...]
    baseline: float | None = None
    epochs: int = 0
    """Epochs that are planned, so that the axis does not jump while a run goes on."""
    unit: str = "epoch"
    """What the runs count: epochs, or a strategy's steps."""
    chance: float | None = None
    """Accuracy (0..1) of always predicting the most common class."""

    def told(self, what: What = "accuracy") -> str:
        """The picture of the accuracies, or of the losses, in words."""
        parts = [part for run in self.runs if (part := _told(run, what, self.unit))]
        if not parts:
            return "No run has a result yet."
        level = ""
        if what == "accuracy" and self.baseline is not None:
            level = f" The baseline is {style.percent(self.baseline)}."
        return f"Validation {what} by {self.unit}. {words.listed(parts)}.{level}"


def training_figure(
    info: TrainingInfo, what: What = "accuracy", *, dark: bool = False, height: int | None = None
) -> Any:
    """Draw validation accuracy (with the baseline as a line), or the losses, by epoch."""
    tall = height or TALL + NAME * len(info.runs)
    figure = style.new_figure(dark, tall, hovermode="closest")
    colours = style.SERIES_DARK if dark else style.SERIES
    for i, run in enumerate(info.runs):
        colour = colours[i % len(colours)]
        lines = (
            [("", run.accuracy, "solid")]
            if what == "accuracy"
            else [(" (training)", run.loss, "dot"), (" (validation)", run.val_loss, "solid")]
        )
        for suffix, values, dash in lines:
            if not values:
                continue
            if suffix == " (training)" and run.batches:
                continue
            form = ".1%" if what == "accuracy" else ".3f"
            figure.add_trace(
                go.Scatter(
                    x=list(run.epochs)[-len(values) :],
                    y=list(values),
                    mode="lines+markers",
                    name=style.wrapped(run.label),
                    legendgroup=run.label,
                    showlegend=suffix != " (training)" or not run.val_loss,
                    line={"color": colour, "dash": dash},
                    hovertemplate=f"<b>{run.label}{suffix}</b><br>{info.unit} %{{x}}"
                    f"<br>{what} %{{y:{form}}}<extra></extra>",
                )
            )
        if what == "loss" and run.batches:
            _few_batches(figure, run, what, run.batches, colour)
        if what == "accuracy" and run.right:
            _few_batches(figure, run, what, run.right, colour)
    if what == "loss" or any(run.right for run in info.runs):
        _kinds_of_lines(figure, info, what)
    if what == "accuracy":
        _levels(figure, info)
    last = max([info.epochs, *(e for run in info.runs for e in run.epochs)], default=1)
    figure.update_xaxes(title_text=info.unit, range=[-0.1, max(1, last) + 0.1])
    figure.update_xaxes(tick0=0, dtick=max(1, -(-int(max(1, last)) // 10)))  # whole epochs
    if what == "accuracy":
        axis, training = style.accuracy_axis(*_between(info)), any(run.right for run in info.runs)
        figure.update_yaxes(
            title_text="accuracy (top-1)" if training else "validation accuracy (top-1)", **axis
        )
    else:
        figure.update_yaxes(title_text="loss (cross-entropy)", rangemode="tozero")
    figure.update_layout(showlegend=len(figure.data) + len(figure.layout.shapes) > 1)
    return words.describe(figure, info.told(what))


def _few_batches(
    figure: Any, run: RunCurve, what: What, points: tuple[tuple[float, float], ...], colour: str
) -> None:
    """Draw the training loss as it went, in place of its means by epoch, or the accuracy."""
    alone = not (run.val_loss if what == "loss" else run.accuracy)
    form = ".1%" if what == "accuracy" else ".3f"
    figure.add_trace(
        go.Scatter(
            x=[epoch for epoch, _ in points],
            y=[value for _, value in points],
            mode="lines",
            name=style.wrapped(run.label),
            legendgroup=run.label,
            showlegend=alone,
            opacity=0.75,
            line={"color": colour, "dash": "dot", "width": 1},
            hovertemplate=f"<b>{run.label} (training)</b><br>epoch %{{x:.2f}}"
            f"<br>{what} %{{y:{form}}}<extra></extra>",
        )
    )


def _kinds_of_lines(figure: Any, info: TrainingInfo, what: What) -> None:
    """Say once in the legend which line is which, instead of with the name of each run."""
    measured = [run.val_loss if what == "loss" else run.accuracy for run in info.runs]
    if not any(measured):
        return
    for name, dash in (("validation", "solid"), ("training", "dot")):
        line = {"color": style.GREY, "dash": dash}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", name=name, line=line))


def _levels(figure: Any, info: TrainingInfo) -> None:
    """Draw what a run has to reach, and what it has to beat."""
    if info.baseline is not None:
        draw_baseline(figure, info.baseline)
    chance = _chance(info)
    if chance is not None:
        draw_chance(figure, chance)


def _chance(info: TrainingInfo) -> float | None:
    """Chance level where it is drawn: in the range, or near it."""
    points = [value for run in info.runs for value in run.accuracy]
    points += [value for run in info.runs for _, value in run.right]
    points = points or [0.0, 1.0]
    levels = [] if info.baseline is None else [info.baseline]
    return info.chance if is_near(info.chance, points + levels) else None


def _between(info: TrainingInfo) -> tuple[float, float]:
    """The lowest and the highest of points and levels; 0 and 1 before there is a point."""
    points = [value for run in info.runs for value in run.accuracy]
    points += [value for run in info.runs for _, value in run.right]
    if not points:
        return 0.0, 1.0
    levels = [value for value in (info.baseline, _chance(info)) if value is not None]
    return min(points + levels), max(points + levels)


def _told(run: RunCurve, what: What, unit: str) -> str:
    values = run.accuracy if what == "accuracy" else (run.val_loss or run.loss)
    if not values:
        return ""
    first, last = (style.percent(v) if what == "accuracy" else f"{v:.3f}"
                   for v in (values[0], values[-1]))  # fmt: skip
    return f"{run.label}: from {first} to {last} at {unit} {run.epochs[-1]:g}"

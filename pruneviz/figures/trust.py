"""Predicted against reached: does an accuracy without training order plans as training does?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.studies.trust.result import Trust

SHOWN = {
    "cut": "before repair",
    "remeasured": "batch norm recalibrated",
    "repaired": "repaired",
}
COLOURS = {"cut": style.GREY, "remeasured": style.ORANGE, "repaired": style.BLUE}
SYMBOLS = {"cut": "x", "remeasured": "diamond", "repaired": "circle"}


def trust_figure(trust: Trust, *, dark: bool = False, height: int = 440) -> Any:
    """Draw a point a plan and predictor; the legend gives the rank correlation at equal MACs."""
    figure = style.new_figure(dark, height, hovermode="closest")
    for predictor, name in SHOWN.items():
        agreement = trust.agreement_within(predictor)
        figure.add_trace(
            go.Scatter(
                x=[getattr(p, predictor) for p in trust.points],
                y=[p.reached for p in trust.points],
                mode="markers",
                name=name if math.isnan(agreement) else f"{name} ({agreement:.2f} at equal MACs)",
                marker={
                    "color": style.SKY if dark and predictor == "repaired" else COLOURS[predictor],
                    "symbol": SYMBOLS[predictor],
                    "size": 8,
                },
                customdata=[(p.origin, p.macs) for p in trust.points],
                hovertemplate="%{x:.1%} predicted, %{y:.1%} reached<br>%{customdata[0]}, "
                "%{customdata[1]:.0%} of the MACs<extra></extra>",
            )
        )
    _diagonal(figure, [p.reached for p in trust.points], dark)
    return words.describe(figure, _in_words(trust))


def runs_figure(
    points: Sequence[tuple[str, float, float]], *, dark: bool = False, height: int = 320
) -> Any:
    """Draw finished runs: their name, the repaired accuracy they began with, the one reached."""
    figure = style.new_figure(dark, height, hovermode="closest")
    figure.add_trace(
        go.Scatter(
            x=[x for _, x, _ in points],
            y=[y for _, _, y in points],
            text=[name for name, _, _ in points],
            mode="markers",
            name="your runs",
            marker={"color": style.SKY if dark else style.BLUE, "size": 9},
            hovertemplate="%{text}<br>%{x:.1%} repaired, %{y:.1%} fine-tuned<extra></extra>",
        )
    )
    _diagonal(figure, [y for _, _, y in points], dark)
    return words.describe(figure, _runs_in_words(points))


def _diagonal(figure: Any, reached: Sequence[float], dark: bool) -> None:
    """The line where prediction and truth are the same, and the axes."""
    low = min(reached, default=0.0)
    figure.add_trace(
        go.Scatter(
            x=[low, 1],
            y=[low, 1],
            mode="lines",
            name="predicted = reached",
            line={"color": style.ink(dark), "dash": "dot", "width": 1},
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(title="accuracy without training", tickformat=".0%")
    figure.update_yaxes(title="accuracy after fine-tuning", tickformat=".1%")


def _in_words(trust: Trust) -> str:
    parts = (
        f"{name} {style.signed(trust.agreement_within(predictor))}"
        for predictor, name in SHOWN.items()
    )
    return (
        f"{len(trust.points)} plans, accuracy without training against accuracy after it. "
        f"Rank correlation among plans of about the same MACs: {', '.join(parts)}."
    )


def _runs_in_words(points: Sequence[tuple[str, float, float]]) -> str:
    parts = (
        f"{name}: repaired {style.percent(x)}, fine-tuned {style.percent(y)}"
        for name, x, y in points
    )
    return f"{style.counted(len(points), 'finished run')}. {words.listed(parts)}."

"""A second picture of a claim's test: what lies behind its means."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.figures import style, words
from pruneviz.figures.lab import LayersInfo, layers_figure
from pruneviz.figures.levels import draw_chance, is_near
from pruneviz.figures.pretraining import PretrainingInfo, StudyCurve, pretraining_figure
from pruneviz.studies.papers.result import LabResult, deviation


def details_figure(result: LabResult, **look: Any) -> Any | None:
    """Draw what lies behind the means; None where there is nothing more.

    For the oracle: the agreement within each layer. For the pretraining study: accuracy against
    the parameters removed. For zeroed filters: how they fare update by update.
    """
    if result.claim == "oracle" and all("by_layer" in f.detail for f in result.findings):
        return layers_figure(layers_of(result), **look)
    if result.claim == "pretraining" and all("curves" in f.detail for f in result.findings):
        return pretraining_figure(study_of(result), **look)
    if result.claim == "regrowth" and all("marks" in f.detail for f in result.findings):
        return regrowth_figure(result, **look)
    return None


SHOWN = ("taylor_image", "taylor", "l1", "l2", "mean_activation", "std_activation", "fisher",
         "random")  # fmt: skip
"""Criteria whose curves are drawn at first; the others are a click in the legend away."""


def pruned_figure(result: LabResult, *, dark: bool = False, height: int = 380) -> Any | None:
    """Draw accuracy against the share of units removed by each criterion at once, untrained.

    None for results that did not measure it.
    """
    curves = {f.label: f.detail["pruned"] for f in result.findings if "pruned" in f.detail}
    if not curves:
        return None
    figure = style.new_figure(dark, height, hovermode="closest")
    colours = style.SERIES_DARK if dark else style.SERIES
    dashes = ("solid", "dash", "dot")
    chance = result.settings.get("chance")
    for number, (name, accuracies) in enumerate(curves.items()):
        step = 1 / (len(accuracies) + 1)
        figure.add_trace(
            go.Scatter(
                x=[step * (k + 1) for k in range(len(accuracies))],
                y=accuracies,
                mode="lines+markers",
                name=name,
                visible=True if name in SHOWN else "legendonly",
                line={
                    "color": colours[number % len(colours)],
                    "dash": dashes[number // len(colours) % len(dashes)],
                },
                hovertemplate=f"<b>{name}</b>: %{{y:.1%}} without %{{x:.0%}} of the units"
                "<extra></extra>",
            )
        )
    values = [a for own in curves.values() for a in own]
    if chance is not None and is_near(chance, values):
        draw_chance(figure, chance)
    figure.update_xaxes(title_text="units removed, the lowest over all layers", tickformat=".0%")
    figure.update_yaxes(title_text="accuracy (top-1), untrained", tickformat=".0%")
    return words.describe(figure, _in_words(curves))


REGROWN = (
    ("back", "filters that are back"),
    ("norms", "norm of all zeroed filters"),
    ("accuracy", "accuracy (top-1)"),
)


def regrowth_figure(result: LabResult, *, dark: bool = False, height: int = 340) -> Any:
    """Draw what becomes of zeroed filters over the updates: a panel a quantity, a line an arm."""
    figure = make_subplots(1, len(REGROWN), subplot_titles=[title for _, title in REGROWN])
    colours = style.SERIES_DARK if dark else style.SERIES
    dashes = ("solid", "dash", "dot", "dashdot")
    for column, (key, _) in enumerate(REGROWN, 1):
        for number, arm in enumerate(result.findings):
            line = {"color": colours[number % len(colours)], "dash": dashes[number % len(dashes)]}
            figure.add_trace(
                go.Scatter(
                    x=[str(mark) for mark in arm.detail["marks"]],
                    y=arm.detail[key],
                    name=arm.label,
                    legendgroup=arm.label,
                    showlegend=column == 1,
                    mode="lines+markers",
                    line=line,
                    hovertemplate=f"after %{{x}} updates: %{{y:.0%}}<extra>{arm.label}</extra>",
                ),
                1,
                column,
            )
    figure.update_xaxes(type="category", title_text="updates after the zeroing")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_layout(
        template=style.template(dark),
        height=height,
        margin={"t": 40},
        legend={"orientation": "h", "y": -0.25, "yanchor": "top"},
    )
    parts = (
        f"{f.label}: {style.percent(f.detail['back'][-1], 0)} of the zeroed filters are back at "
        f"the end, with {style.percent(f.detail['norms'][-1], 0)} of their norm; the accuracy is "
        f"{style.percent(f.detail['accuracy'][-1])}"
        for f in result.findings
    )
    return words.describe(figure, f"{'. '.join(parts)}.")


def layers_of(result: LabResult) -> LayersInfo:
    """The agreement of every criterion with the oracle, layer by layer."""
    by_layer = {
        f.label: {
            name: None if value is None else float(value)
            for name, value in f.detail["by_layer"].items()
        }
        for f in result.findings
    }
    layers = tuple(dict.fromkeys(name for by_name in by_layer.values() for name in by_name))
    return LayersInfo(
        title="",
        criteria=tuple(by_layer),
        layers=layers,
        correlation=tuple(tuple(by_name.get(n) for n in layers) for by_name in by_layer.values()),
    )


def study_of(result: LabResult) -> PretrainingInfo:
    """Accuracy on held-out images against the parameters removed, mean and spread over seeds."""
    curves = []
    for finding in result.findings:
        points = list(zip(*finding.detail["curves"], strict=False))  # the seeds of each reduction
        tested = [[p[2] for p in seeds] for seeds in points]
        curves.append(
            StudyCurve(
                panel=f"{result.network} on {result.data}",
                start=finding.label,
                removed=tuple(statistics.fmean(p[0] for p in seeds) for seeds in points),
                accuracy=tuple(statistics.fmean(t) for t in tested),
                spread=tuple(deviation(t) if len(t) > 1 else 0.0 for t in tested),
                seeds=len(finding.seeds),
            )
        )
    return PretrainingInfo("held-out images", tuple(curves))


def _in_words(curves: Mapping[str, Sequence[float]]) -> str:
    parts = (
        f"{name} from {style.percent(own[0])} to {style.percent(own[-1])}"
        for name, own in curves.items()
        if own
    )
    return (
        "Accuracy as the lowest units by each criterion are removed, without training: "
        f"{words.listed(parts, 8)}."
    )

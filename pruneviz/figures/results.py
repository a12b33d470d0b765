"""The figure of each result, as its `.figure()` shows it in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from pruneviz.figures import style
from pruneviz.figures.overview import overview_figure, overview_info
from pruneviz.figures.stats import wilson

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.criteria import Ranking
    from pruneviz.plan import Plan
    from pruneviz.training import Evaluation


def graph(graph: ChannelGraph, plan: Plan | None = None, *, dark: bool = False) -> Any:
    """Draw a network: its layers in order, their widths, what a plan drops and what is tied."""
    kept = None if plan is None else plan.kept
    return overview_figure(overview_info(graph, None, kept), dark=dark)


def ranking(
    ranking: Ranking,
    criterion: str | None = None,
    plan: Plan | None = None,
    *,
    dark: bool = False,
) -> Any:
    """Draw every layer's sorted scores by one criterion (the first, if none is named)."""
    name = criterion if criterion is not None else next(iter(ranking.scores))
    kept = None if plan is None else plan.kept
    info = overview_info(ranking.graph, ranking.scores[name], kept, criterion=name)
    figure = overview_figure(info, dark=dark)
    figure.update_layout(title={"text": f"Filters by {name}", "y": 0.99})
    return figure


def evaluation(evaluation: Evaluation, *, dark: bool = False, height: int = 320) -> Any:
    """Draw the accuracy in each class, and over all of them as a line with its 95 % interval."""
    figure = style.new_figure(dark, height, showlegend=False)
    figure.add_trace(
        go.Bar(
            x=list(evaluation.classes),
            y=list(evaluation.per_class),
            marker_color=style.kept_colour(dark),
            hovertemplate="<b>%{x}</b><br>accuracy %{y:.1%}<extra></extra>",
        )
    )
    low, high = wilson(evaluation.accuracy, evaluation.count)
    figure.add_hrect(y0=low, y1=high, fillcolor=style.GREY, opacity=0.2, line_width=0)
    figure.add_hline(
        y=evaluation.accuracy,
        line={"dash": "dash", "color": style.GREY},
        annotation={
            "text": f"{style.percent(evaluation.accuracy)} of {evaluation.count} images",
            "font": {"size": 11},
        },
        annotation_position="bottom left",
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(title_text="accuracy in the class", tickformat=".0%", range=[0, 1.05])
    return figure

"""The picture of each type of result. A new result's picture is registered here."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from pruneviz.channels import ChannelGraph
from pruneviz.cost import Cost
from pruneviz.criteria import Ranking
from pruneviz.errors import InvalidValueError
from pruneviz.evaluation import Evaluation
from pruneviz.explain.alone import Alone
from pruneviz.figures.alone import alone_figure
from pruneviz.figures.classes import evaluation_figure
from pruneviz.figures.costs import CostsInfo, costs_figure
from pruneviz.figures.course import course_figure
from pruneviz.figures.curves import curves_figure
from pruneviz.figures.lab import claim_figure
from pruneviz.figures.latency import latency_figure, latency_info, widths_figure, widths_info
from pruneviz.figures.overview import overview_figure, overview_info
from pruneviz.figures.pretraining import pretraining_figure, pretraining_info
from pruneviz.figures.race import race_figure, race_info
from pruneviz.figures.ribbon import kept_filters, ribbon_layout
from pruneviz.figures.ribbon_svg import ribbon_svg
from pruneviz.figures.trust import trust_figure
from pruneviz.latency import Latency, WidthLatency
from pruneviz.plan import Plan, check_plan
from pruneviz.sensitivity_result import Sensitivity
from pruneviz.strategies.course import Course
from pruneviz.studies.papers.result import LabResult
from pruneviz.studies.pretraining import PretrainingStudy
from pruneviz.studies.race_result import Race
from pruneviz.studies.trust.result import Trust


@singledispatch
def figure_of(result: object, **_options: Any) -> Any:
    """Draw a result; the options `dark` and `height` are everywhere the same."""
    raise InvalidValueError(f"There is no picture of a {type(result).__name__}.")


@figure_of.register(ChannelGraph)
def _(graph: ChannelGraph, *, plan: Plan | None = None, ribbon: bool = False, **look: Any) -> Any:
    kept = None if plan is None else check_plan(graph, plan).kept
    if ribbon:
        left = None if kept is None else kept_filters(graph, kept)
        return ribbon_svg(ribbon_layout(graph), left, dark=bool(look.get("dark")))
    return overview_figure(overview_info(graph, None, kept), **look)


@figure_of.register(Ranking)
def _(
    ranking: Ranking, *, criterion: str | None = None, plan: Plan | None = None, **look: Any
) -> Any:
    name = criterion if criterion is not None else ranking.criteria[0]
    kept = None if plan is None else plan.kept
    info = overview_info(ranking.graph, ranking.of(name), kept, criterion=name)
    figure = overview_figure(info, **look)
    figure.update_layout(title={"text": f"Filters by {name}"}, margin={"t": 64})
    return figure


@figure_of.register(Cost)
def _(cost: Cost, **look: Any) -> Any:
    info = CostsInfo("MACs", cost.layers, cost.baseline_layer_macs, cost.layer_macs)
    return costs_figure(info, **look)


@figure_of.register(Latency)
def _(latency: Latency, **look: Any) -> Any:
    return latency_figure(latency_info(latency), **look)


@figure_of.register(WidthLatency)
def _(widths: WidthLatency, **look: Any) -> Any:
    return widths_figure(widths_info(widths), **look)


@figure_of.register(Race)
def _(race: Race, **look: Any) -> Any:
    return race_figure(race_info(race), **look)


@figure_of.register(PretrainingStudy)
def _(study: PretrainingStudy, **look: Any) -> Any:
    return pretraining_figure(pretraining_info(study), **look)


figure_of.register(Evaluation, evaluation_figure)
figure_of.register(Alone, alone_figure)
figure_of.register(Course, course_figure)
figure_of.register(Sensitivity, curves_figure)
figure_of.register(LabResult, claim_figure)
figure_of.register(Trust, trust_figure)

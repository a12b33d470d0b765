"""The page Choose: a network and data, what they are worth, and what pruning would do."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from pruneviz.figures import (
    CostsInfo,
    costs_figure,
    evaluation_figure,
    overview_figure,
    overview_info,
    style,
    tradeoff_figure,
    tradeoff_info,
)
from pruneviz.session.decisions import Decisions, set_ratio
from pruneviz.session.workbench import Workbench
from pruneviz.ui.choose import picker, sweep
from pruneviz.ui.frame import actions, error_boundary, leaving, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.ribbon import ribbon

GROW_SECONDS = 0.5
COSTS: tuple[Literal["MACs", "parameters"], ...] = ("MACs", "parameters")
FIRST_RATIO = 0.3


def show() -> None:
    """Show the page."""
    left, right = st.columns([1, 3], gap="large")
    with left:
        picker.show()
    with right:  # where it would stand, in sight, what goes wrong is said
        error_boundary.guarded(_what_pruning_does)()


def _what_pruning_does() -> None:
    """Show what the chosen network is worth, and what pruning would do to it."""
    history = state.history()
    loaded = workbench.bench(history.subject)
    known = workbench.accuracy(loaded, None).value is not None
    error_boundary.fragment(run_every=None if known else GROW_SECONDS)(_facts)(loaded, known)
    ribbon.show(loaded)
    for said in loaded.data.notes:
        st.warning(plain(said[:1].upper() + said[1:]), icon=":material/photo_library:")
    note = loaded.note or _at_chance(loaded)
    if note:
        st.warning(plain(note), icon=":material/school:")
        st.button(
            "Fine-tune it first",
            icon=":material/model_training:",
            on_click=leaving.go_to,
            args=("runs",),
        )
    criterion = history.decisions.criterion
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("What happens when you prune the least important filters?")
        # Above the chart, so that it is in sight on a laptop's screen.
        st.button(
            f"Prune the lowest {FIRST_RATIO:.0%} and take a closer look",
            type="primary",
            icon=":material/content_cut:",
            on_click=_look_closer,
        )
    st.caption(
        f"Prunes the filters with the lowest **{plain(criterion)}** scores, a tenth of the "
        "network at a time, without training. Grey: before repair. Blue: repaired, with "
        "the remaining weights refitted in closed form. Dotted: random filters, repaired. "
        "Click a point to use that plan."
    )
    _story(loaded, criterion)
    _tabs(loaded, criterion)


def _look_closer() -> None:
    actions.take(set_ratio(state.history().decisions, FIRST_RATIO))
    leaving.go_to("prune")


def _at_chance(loaded: Workbench) -> str:
    """What is to be done first with a network that has learned nothing; empty for any other."""
    measured = workbench.no_better_than_chance(loaded)
    if measured is None:
        return ""
    return (
        "The network is no better than chance here: it classifies "
        f"{style.percent(measured.accuracy)} of {measured.count} images correctly, and always "
        f"predicting the most common class would get {style.percent(loaded.chance)}. Only a "
        "trained network shows what pruning costs."
    )


def _facts(loaded: Workbench, was_known: bool) -> None:
    """Show what the unpruned network is worth; its accuracy as soon as it is measured."""
    graph, data = loaded.graph, loaded.data
    _, cost = workbench.plan_at(loaded, Decisions())
    base = workbench.accuracy(loaded, None)
    units = sum(group.width for group in graph.prunable_groups)
    with st.container(horizontal=True, gap="small"):
        if base.value is not None:
            value = style.percent(base.value.accuracy)
        else:
            value = "…"
        st.metric(
            "Accuracy (top-1)",
            value,
            help=base.error
            or f"On {loaded.preview_images} validation images of {plain(data.name)}, "
            f"{len(data.classes)} classes.",
            width="content",
        )
        st.metric(
            "MACs per image",
            style.si(cost.macs),
            width="content",
            help="Multiply-adds of all convolution and linear layers for one image.",
        )
        st.metric("Parameters", style.si(cost.params), width="content")
        st.metric("Layers", len(graph.layers), width="content")
        st.metric(
            "Prunable units",
            f"{units:,}",
            help=f"Filters that can be pruned, in {len(graph.prunable_groups)} groups; coupled "
            "filters (by residual additions, for example) count as one unit.",
            width="content",
        )
    if base.value is not None and not was_known:
        st.rerun()


def _story(loaded: Workbench, criterion: str) -> None:
    """Draw the sweep; while it is measured, it grows by itself."""
    _, complete = sweep.grow(loaded, criterion)
    error_boundary.fragment(run_every=None if complete else GROW_SECONDS)(_sweep)(
        loaded, criterion, complete
    )


def _sweep(loaded: Workbench, criterion: str, was_complete: bool) -> None:
    points, complete = sweep.grow(loaded, criterion)
    info = tradeoff_info(points, chance=loaded.chance)
    figure = tradeoff_figure(info, dark=theme.dark(), height=330, whole=True)
    cost = workbench.plan_at(loaded, Decisions())[1]
    figure.update_xaxes(range=[0, cost.macs * 1.04])
    theme.chart(figure, "sweep", on_select=_take_up, selection_mode="points")
    if not complete:
        plans = len(list(sweep.steps(criterion)))
        st.caption(f"Measuring {plans} plans: {max(0, len(points) - 1)} done …")
    elif not was_complete:
        st.rerun()


def _take_up() -> None:
    points = state.selected("sweep")
    if points and points[0].get("customdata"):
        key = points[0]["customdata"][0]
        if key != "baseline":
            wanted = sweep.decisions_of(key)
            actions.take((wanted, sweep.SweepStep(wanted).label))
            st.rerun()


def _tabs(loaded: Workbench, criterion: str) -> None:
    """Show one view of the unpruned network; only the one that is open is drawn."""
    views = {
        "The whole network": _network,
        "Costs by layer": _layers,
        "Accuracy by class": _classes,
    }
    tabs = st.tabs(list(views), key="choose_tab", on_change="rerun")
    shown = next((i for i, tab in enumerate(tabs) if tab.open), 0)
    with tabs[shown]:
        list(views.values())[shown](loaded, criterion)


def _network(loaded: Workbench, criterion: str) -> None:
    scores = workbench.ranking(loaded, criterion).of(criterion)
    plan, _ = state.in_hand()
    info = overview_info(loaded.graph, scores, plan.kept, criterion=criterion)
    theme.chart(
        overview_figure(info, dark=theme.dark()),
        "choose_overview",
    )


def _layers(loaded: Workbench, _criterion: str) -> None:
    what = st.segmented_control(
        "Costs",
        COSTS,
        default="MACs",
        required=True,
        key="choose_costs",
        label_visibility="collapsed",
    )
    cost = workbench.plan_at(loaded, Decisions())[1]
    before = cost.baseline_layer_macs if what == "MACs" else cost.baseline_layer_params
    theme.chart(
        costs_figure(CostsInfo(what, cost.layers, before, before), dark=theme.dark()),
        "choose_cost_chart",
    )


def _classes(loaded: Workbench, _criterion: str) -> None:
    base = workbench.accuracy(loaded, None)
    if base.value is not None:
        theme.chart(evaluation_figure(base.value, dark=theme.dark()), "choose_classes")
    else:
        st.caption(base.error or "Measuring accuracy …")

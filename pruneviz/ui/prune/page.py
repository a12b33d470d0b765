"""The page Prune: sliders, picks, and what every visited plan is worth."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from pruneviz.figures import (
    CostsInfo,
    costs_figure,
    overview_figure,
    overview_info,
    tradeoff_figure,
    tradeoff_info,
)
from pruneviz.session.workbench import Workbench
from pruneviz.ui.choose.page import COSTS
from pruneviz.ui.frame import actions, address, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import budget, latency, points, sliders, timings, views
from pruneviz.ui.rank import page as rank
from pruneviz.ui.ribbon import ribbon

AXES: tuple[Literal["macs", "params", "latency"], ...] = ("macs", "params", "latency")
VIEWS = ("Trade-off", "Network", "Costs", "Latency", "Classes", "History", "Prunability")
TOLD = (
    ("macs", "MACs"),
    ("macs_before", "MACs, unpruned"),
    ("params", "parameters"),
    ("params_before", "parameters, unpruned"),
)
"""What the columns of the costs are called on the page."""


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    services.previews().prepare(loaded)
    budget.look_for(loaded)
    ribbon.show(loaded)
    with st.container(key="chart_first"):  # on a narrow screen, see `frame.theme`
        left, right = st.columns([5, 6], gap="large")
    with left:
        rank.pick_criterion(loaded)
        budget.show()
        sliders.show(loaded)
    with right:
        address.seed("view", VIEWS)
        view = st.segmented_control(
            "View", VIEWS, required=True, key="view", label_visibility="collapsed"
        )
        address.follow("view", VIEWS[0])
        {
            "Trade-off": _tradeoff,
            "Network": _network,
            "Costs": _costs,
            "Latency": latency.show,
            "Classes": views.classes,
            "History": views.history,
            "Prunability": views.prunability,
        }[view or VIEWS[0]](loaded)


def _tradeoff(loaded: Workbench) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        axis = st.segmented_control(
            "Cost",
            AXES,
            default="macs",
            required=True,
            key="axis",
            format_func=lambda a: {
                "macs": "MACs",
                "params": "parameters",
                "latency": "measured time",
            }[a],
            label_visibility="collapsed",
        )
        control = st.toggle(
            "Random control",
            key="control",
            help="The same number of units, chosen at random: the control that a criterion has to "
            "beat.",
        )
    measured = timings.relative(loaded) if axis == "latency" else {}
    tuned = points.of_runs(loaded, measured)
    shown = [*points.of_plans(loaded, measured), *tuned.points]
    shown += points.of_control(loaded) if control else []
    theme.chart(
        tradeoff_figure(tradeoff_info(shown, axis, loaded.chance), dark=theme.dark()),
        f"tradeoff_{st.session_state.setdefault('clicks', 0)}",
        on_select=_load_point,
        selection_mode="points",
    )
    st.caption(
        "Every plan you visit is a point; the current one is ringed. Click a point to go back "
        "to it. Plans are repaired without training; finished runs have their own points. "
        f"{_images(loaded)}"
    )
    if tuned.pending:
        points.wait_for_runs(loaded, tuned.pending)
    for error in tuned.errors:
        st.caption(plain(f"Left out: {error}"))
    if axis == "latency":
        latency.ask_for_missing(loaded)


def _images(loaded: Workbench) -> str:
    """Say on which images all points of the chart are measured."""
    total = len(loaded.data.val)
    if loaded.preview_images == total:
        return f"All are measured on the {total:,} validation images."
    return (
        f"All are measured on the same {loaded.preview_images:,} of {total:,} validation images; "
        "the page Runs shows the accuracy of runs on all of them."
    )


def _load_point() -> None:
    chosen = state.selected(f"tradeoff_{st.session_state.clicks}")
    st.session_state.clicks += 1  # a fresh chart: nothing stays selected
    if not chosen or not chosen[0].get("customdata"):
        return
    key = str(chosen[0]["customdata"][0])
    if key in state.history().steps:
        state.go(key)
    elif key == "baseline":
        state.go(state.history().root.digest)
    elif key.startswith(points.CONTROL):
        actions.take(points.control_change(key))
    elif key.startswith(points.RUN):
        loaded = workbench.bench(state.history().subject)
        change = points.run_change(loaded, key)
        if change is not None:
            actions.take(change)


def _network(loaded: Workbench) -> None:
    decisions = state.history().decisions
    scores = workbench.ranking(loaded, decisions.criterion).of(decisions.criterion)
    plan, _ = state.in_hand()
    info = overview_info(loaded.graph, scores, plan.kept, criterion=decisions.criterion)
    theme.chart(
        overview_figure(info, dark=theme.dark(), height=520),
        "prune_overview",
    )


def _costs(loaded: Workbench) -> None:
    _, cost = state.in_hand()
    what = st.segmented_control(
        "Costs",
        COSTS,
        default="MACs",
        required=True,
        key="prune_costs",
        label_visibility="collapsed",
    )
    before, after = (
        (cost.baseline_layer_macs, cost.layer_macs)
        if what == "MACs"
        else (cost.baseline_layer_params, cost.layer_params)
    )
    theme.chart(
        costs_figure(CostsInfo(what, cost.layers, before, after), dark=theme.dark()),
        "prune_cost_chart",
    )
    frame = cost.to_frame()
    frame = frame[(frame["filters"] > 0) | (frame["params_before"] > 0)]
    named = {name: st.column_config.NumberColumn(told, format="localized") for name, told in TOLD}
    st.dataframe(frame, hide_index=True, height=260, column_config=named)

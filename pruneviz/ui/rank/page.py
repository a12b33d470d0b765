"""The page Rank: all layers at a glance, a layer in detail, two criteria side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pruneviz.figures import (
    compare_figure,
    compare_info,
    layer_figure,
    layer_info,
    overview_figure,
    overview_info,
    spearman_figure,
)
from pruneviz.session.decisions import forget_picks, set_criterion
from pruneviz.session.workbench import Workbench
from pruneviz.stages import group_titles
from pruneviz.ui.frame import actions, address, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import sliders
from pruneviz.ui.rank import filter_detail
from pruneviz.ui.ribbon import ribbon
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets import layers

LAYER = "layer"
HEIGHT = 400
"""Of the overview, so that its layers' names are in sight on a laptop's screen."""
ORACLE_IMAGES = 128
"""Images that the criteria with passes of their own look at."""


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    criterion = pick_criterion(loaded)
    scores = workbench.ranking(loaded, criterion).of(criterion)
    names = layers.prunable(loaded)
    if not names:
        return
    address.seed(LAYER, names)
    plan, _ = state.in_hand()
    info = overview_info(
        loaded.graph, scores, plan.kept, criterion=criterion, selected=st.session_state[LAYER]
    )
    st.caption(
        "Each column is a layer, in the order the network runs them, with its filters stacked "
        "by score, lowest at the bottom. Click a column to open the layer. "
        + looked_at(workbench.ranking(loaded, criterion).images)
    )
    ribbon.show(loaded, selected=st.session_state[LAYER])
    theme.chart(
        overview_figure(info, dark=theme.dark(), height=HEIGHT),
        "rank_overview",
        on_select=_into_layer,
        selection_mode="points",
    )
    detail, compare = st.tabs(["One layer", "Two criteria"], key="rank_tab", on_change="rerun")
    if compare.open:
        with compare:
            _compare(loaded, criterion)
    else:
        with detail:
            _layer(loaded, criterion, scores, names)


def looked_at(images: int) -> str:
    """Say what a ranking is made of."""
    return f"Ranked on {images:,} training images." if images else "Ranked by the weights alone."


def pick_criterion(loaded: Workbench, *, width: int = 620) -> str:
    """Let the visitor choose by which criterion filters are ranked; returns the one that holds."""
    now = state.history().decisions.criterion
    criteria = workbench.criteria()
    names = {
        name: criteria[name]
        for name in dict.fromkeys([*workbench.offered_criteria(loaded), now])
        if name in criteria
    }
    control = state.control("criterion", now)
    st.selectbox(
        "Criterion",
        list(names),
        index=list(names).index(control.start) if control.start in names else None,
        key=control.key,
        format_func=lambda n: f"{names[n].title} ({n})",
        help=f"{names[now].help} {names[now].paper}" if now in names else None,
        on_change=state.while_here(_set_criterion),
        width=width,
    )
    return now


def _set_criterion() -> None:
    actions.take(set_criterion(state.history().decisions, state.control_value("criterion")))


def _into_layer() -> None:
    points = state.selected("rank_overview")
    if points and points[0].get("customdata"):
        st.session_state[LAYER] = points[0]["customdata"][0]


def _layer(loaded: Workbench, criterion: str, scores: np.ndarray, names: list[str]) -> None:
    history = state.history()
    plan, _ = state.in_hand()
    left, right = st.columns([3, 2], gap="large")
    with left:
        layer = st.selectbox("Layer", names, key=LAYER)
        address.follow(LAYER, names[0])
        _slider(loaded, layer)
        nonce = st.session_state.setdefault("picks", 0)
        info = layer_info(
            loaded.graph,
            layer,
            scores,
            plan.kept,
            by_hand=history.decisions.by_hand,
            criterion=criterion,
        )
        st.caption("Click a filter to prune or keep it; draw a box or lasso around several.")
        theme.chart(
            layer_figure(info, dark=theme.dark()),
            f"filters_{nonce}",
            on_select=_pick,
            selection_mode=("points", "box", "lasso"),
        )
        tied = actions.tied_to(loaded, layer)
        if tied:
            st.info(
                f"Filters of **{plain(layer)}** are coupled with those of {_listed(tied)}: "
                f"{plain(loaded.graph.group(loaded.graph.layer(layer).group).note)}",
                icon=":material/link:",
            )
        if picks := len(history.decisions.by_hand):
            st.button(
                f"Clear {picks} manual pick{'s' if picks > 1 else ''}",
                icon=":material/backspace:",
                on_click=_forget,
            )
    with right:
        filter_detail.show(loaded, layer, info)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(f"**{plain(n)}**" for n in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _slider(loaded: Workbench, layer: str) -> None:
    """The threshold of the layer's group, as a line that is moved."""
    group = loaded.graph.group(loaded.graph.layer(layer).group)
    plan, _ = state.in_hand()
    dropped = len(plan.by_group().get(group.name, ()))
    name = f"rank_ratio_{group.name}"
    percent = sliders.percent_of(group.name, dropped, group.width)
    tied = f" (coupled in {len(group.layers)} layers)" if len(group.layers) > 1 else ""
    control = state.control(name, percent, sliders.means_as_many(group.width))
    st.slider(
        f"Threshold: {dropped} of {group.width} units pruned{tied}",
        0,
        100,
        control.start,
        key=control.key,
        format="%d %%",
        on_change=state.while_here(_set_threshold),
        args=(group.name, name),
        help=(
            "Fraction of the group's units to prune, lowest scores first. At least one unit stays."
        ),
    )


def _set_threshold(group: str, name: str) -> None:
    sliders.set_group(group, state.control_value(name))


def _forget() -> None:
    actions.take(forget_picks(state.history().decisions))


def _pick() -> None:
    """Turn what was selected in the bars into manual picks."""
    nonce = st.session_state.picks
    points = state.selected(f"filters_{nonce}")
    chosen = sorted({int(p["customdata"][0]) for p in points if p.get("customdata")})
    if not chosen:
        return
    layer = st.session_state[LAYER]
    st.session_state[filter_detail.FILTER] = chosen[-1]
    loaded = workbench.bench(state.history().subject)
    decisions = state.history().decisions
    plan, _ = state.in_hand()
    actions.take(actions.toggle(loaded.graph, decisions, plan.dropped, layer, chosen))
    st.session_state.picks = nonce + 1  # a fresh chart: nothing stays selected


def _offer_long(loaded: Workbench) -> None:
    """Offer the criteria that run in the background: what they find can be chosen afterwards."""
    runs = runs_data.rank_runs(loaded)
    for name, criterion in workbench.criteria().items():
        done = name in runs and runs[name].status == "done"
        if done or not loaded.rankings.takes_long(name):
            continue
        st.button(
            f"Compute {criterion.title.lower()}",
            key=f"compute_{name}",
            icon=":material/hourglass:",
            disabled=name in runs,
            help=(
                f"{criterion.help} {criterion.paper}. Runs in the background on "
                f"{ORACLE_IMAGES} images. When it is done, you can choose it like any other "
                "criterion."
            ),
            on_click=_compute,
            args=(loaded, name),
        )


def _compute(loaded: Workbench, criterion: str) -> None:
    visitor = state.session().visitor
    spec = runs_data.rank_spec(loaded, criterion, ORACLE_IMAGES, visitor)
    actions.attempt(services.jobs().submit, spec)


def _compare(loaded: Workbench, criterion: str) -> None:
    others = [n for n in workbench.offered_criteria(loaded) if n != criterion]
    address.seed("second", others)
    titles = group_titles(loaded.graph)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        second = st.selectbox(
            "Compare with",
            others,
            key="second",
            width=300,
            help=(
                "Spearman's rank correlation: 1 if both criteria rank the filters alike, 0 if "
                "their rankings are unrelated."
            ),
        )
        address.follow("second", others[0])
        where = st.selectbox(
            "In",
            ["all groups", *(g.name for g in loaded.graph.prunable_groups)],
            format_func=lambda name: titles.get(name, name),
            width=300,
        )
        _offer_long(loaded)
    scores = {n: workbench.ranking(loaded, n).of(n) for n in (criterion, second)}
    comparable = {n: workbench.ranking(loaded, n).comparable(n) for n in (criterion, second)}
    group = None if where == "all groups" else where
    info = compare_info(loaded.graph, scores, criterion, second, group=group, comparable=comparable)
    plan, _ = state.in_hand()
    with st.container(horizontal=True):
        if group is None:
            st.metric("Spearman over all units", f"{info.overall:.2f}", width=220)
        values = [v for _, v in info.by_group if np.isfinite(v)]
        if values:
            st.metric("Median over the groups", f"{np.median(values):.2f}", width=220)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        theme.chart(compare_figure(info, plan.kept, dark=theme.dark()), "compare_scatter")
    with right:
        theme.chart(spearman_figure(info, dark=theme.dark(), height=420), "compare_spearman")
    st.markdown("**Units they disagree on most**")
    rows = [
        {
            "unit": info.label[i],
            f"rank by {criterion}": info.x[i],
            f"rank by {second}": info.y[i],
            "filters": ", ".join(
                f"{n} [{', '.join(map(str, f[:3]))}{'…' * (len(f) > 3)}]"
                for n, f in list(loaded.graph.members(int(info.unit[i])).items())[:3]
            ),
        }
        for i in info.disagreements()
    ]
    share = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={f"rank by {criterion}": share, f"rank by {second}": share},
    )

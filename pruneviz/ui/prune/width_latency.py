"""In the view Latency: time against the width of one group, and widths to stop at."""

from __future__ import annotations

import streamlit as st

from pruneviz.figures.latency import widths_figure, widths_info
from pruneviz.latency import WidthLatency
from pruneviz.plan import Plan
from pruneviz.session.decisions import set_group_ratio
from pruneviz.session.workbench import Workbench
from pruneviz.stages import group_title, group_titles
from pruneviz.ui.frame import actions, services, state, theme
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import timings
from pruneviz.ui.prune.timings import Setting


def show(loaded: Workbench, plan: Plan, how: Setting) -> None:
    """Show time against the width of one group, and have it measured."""
    st.markdown("**Widths at which time drops**")
    groups = [g.name for g in loaded.graph.prunable_groups]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        group = st.selectbox(
            "Group",
            groups,
            key="latency_group",
            format_func=group_titles(loaded.graph).__getitem__,
            help=(
                "Narrows this group step by step and times the whole network at each width. "
                "The other groups stay as in the current plan."
            ),
        )
        st.button(
            "Measure widths",
            key="latency_widths",
            icon=":material/straighten:",
            disabled=timings.active(loaded) is not None,
            on_click=_measure,
            args=(loaded, group, how),
        )
    known = timings.widths(loaded, group, how)
    if known is None:
        st.caption(
            "Time does not fall with every filter you prune: vector units and caches favour "
            "some widths. This finds the widths worth keeping, in about twenty seconds."
        )
        return
    run, measured = known
    rest = Plan.from_json(loaded.graph, run.spec.plan) if run.spec.plan else Plan(loaded.graph)
    title = group_title(loaded.graph, group)
    _curve(measured, title, as_in_hand=_others(rest, group) == _others(plan, group))


def _curve(measured: WidthLatency, title: str, *, as_in_hand: bool) -> None:
    theme.chart(
        widths_figure(widths_info(measured, title), dark=theme.dark()),
        "latency_curve",
    )
    if measured.latency.disturbance:
        st.caption(measured.latency.disturbance)
    rest = "as in the current plan" if as_in_hand else "as in an earlier plan: measure again"
    st.caption(
        "A diamond marks a width that is clearly faster than the diamond before it (their "
        "quartiles do not overlap). Pruning to a width between two diamonds saves no time. The "
        f"other groups are {rest}."
    )
    narrower = [w for w in measured.steps if w < measured.widths[0]]
    if not narrower:
        st.info(f"On this machine no width of {plain(title)} makes the network faster.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Keep", width="content")
        for width in narrower:
            st.button(
                f"{width} of {measured.widths[0]}",
                key=f"latency_take_{width}",
                on_click=_take,
                args=(measured.group, width, measured.widths[0]),
            )


def _others(plan: Plan, group: str) -> dict[str, tuple[int, ...]]:
    return {name: gone for name, gone in plan.by_group().items() if name != group}


def _measure(loaded: Workbench, group: str, how: Setting) -> None:
    plan, _ = state.in_hand()
    spec = timings.widths_spec(loaded, plan, group, how, state.session().visitor)
    actions.attempt(services.jobs().submit, spec)


def _take(group: str, width: int, whole: int) -> None:
    decisions = state.history().decisions
    title = group_title(state.session().workbench.graph, group)
    actions.take(set_group_ratio(decisions, group, 1 - width / whole, title))

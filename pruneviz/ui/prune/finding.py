"""Above the sliders of a network with many groups: find some of them, and set them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.session.arranging import ORDERS, Wanted, arrange, stage_of
from pruneviz.session.decisions import set_group_ratios
from pruneviz.ui.frame import actions, state

if TYPE_CHECKING:
    from pruneviz.session.workbench import Workbench

MANY = 16
"""Fewer groups than this are all in sight."""


def shown(loaded: Workbench) -> tuple[int, ...]:
    """Ask which groups to show, where there are many; return their places."""
    groups = loaded.graph.prunable_groups
    if len(groups) < MANY:
        return tuple(range(len(groups)))
    plan, cost = state.in_hand()
    stages = stage_of(loaded.graph)
    numbers = sorted({stages[group.layers[0]] for group in groups})
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        search = st.text_input("Find groups", key="find", placeholder="layer, stream …", width=170)
        stage = st.selectbox(
            "Stage",
            [None, *numbers],
            key="find_stage",
            format_func=lambda n: "all" if n is None else f"stage {n}" if n else "stem",
            width=110,
        )
        order = st.selectbox(
            "Order", list(ORDERS), key="find_order", format_func=ORDERS.__getitem__, width=180
        )
        changed = st.toggle("Only pruned groups", key="find_changed")
    wanted = Wanted(search or "", stage, changed, order)
    macs = dict(zip(cost.layers, cost.layer_macs, strict=True))
    indices = arrange(loaded.graph, wanted, plan.ratios(), macs)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{len(indices)} of {len(groups)} groups", width="content")
        if indices and len(indices) < len(groups):
            ratio = st.number_input(
                "Ratio for these, %",
                0,
                95,
                30,
                5,
                key="find_ratio",
                label_visibility="collapsed",
                width=120,
            )
            st.button(
                f"Set all {len(indices)} to {ratio} %",
                key="find_set",
                on_click=state.while_here(_set),
                args=(tuple(groups[i].name for i in indices), ratio / 100, _said(wanted)),
            )
    return indices


def _said(wanted: Wanted) -> str:
    """What the step is called."""
    parts = [f"stage {wanted.stage}"] if wanted.stage else ["stem"] * (wanted.stage == 0)
    parts += [f"'{wanted.search.strip()}'"] * bool(wanted.search.strip())
    return " ".join(parts) or "pruned groups"


def _set(names: tuple[str, ...], ratio: float, said: str) -> None:
    decisions = state.history().decisions
    open_names = [name for name in names if name not in decisions.protected]
    ratios = dict.fromkeys(open_names, ratio)
    actions.take(
        set_group_ratios(decisions, ratios, f"{said}: {len(open_names)} groups at {ratio:.0%}")
    )

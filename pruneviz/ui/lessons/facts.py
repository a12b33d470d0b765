"""What a lesson's checks may ask about: the state of the studio, as plain values."""

from __future__ import annotations

import streamlit as st

from pruneviz.jobs.listing import Which
from pruneviz.lessons import Fact
from pruneviz.ui.explain.picker import PIXELS
from pruneviz.ui.frame import services, state, workbench
from pruneviz.ui.ribbon import ribbon
from pruneviz.ui.runs import records as runs_data


def facts() -> dict[str, Fact]:
    """Return all of `pruneviz.lessons.FACTS`; None for what is not known yet."""
    history = state.history()
    loaded = workbench.bench(history.subject)
    plan, cost = state.in_hand()
    base = workbench.known_accuracy(loaded, None)
    worth = workbench.known_worth(loaded, plan)
    cut, repaired = (
        worth.cut.value,
        worth.repaired.value or (None if loaded.repairs_quickly else worth.instant.value),
    )
    runs = runs_data.finished(loaded)
    reached = [a for run in runs if (a := runs_data.final_accuracy(run)) is not None]
    timed = services.jobs().list(Which(kinds=("latency",), status="done"))
    return {
        "page": st.session_state.get(state.PAGE),
        "criterion": history.decisions.criterion,
        "view": st.session_state.get("view"),
        "explain": st.session_state.get("explain"),
        "layer": st.session_state.get(ribbon.LAYER),
        "tab": st.session_state.get("rank_tab"),
        "maps": st.session_state.get("explain_way"),
        "image": float(st.session_state.get("explain_image") or 0),
        "drawn": float(sum(kind == "draw" for _, kind in st.session_state.get(PIXELS, ()))),
        "pruned": plan.ratio,
        "macs": cost.macs / cost.baseline_macs,
        "baseline": None if base is None else base.accuracy,
        "cut": None if cut is None else cut.accuracy,
        "repaired": None if repaired is None else repaired.accuracy,
        "multiple": float(history.decisions.multiple),
        "picks": float(len(history.decisions.by_hand)),
        "plans": float(len(history.steps)),
        "runs": float(len(runs)),
        "tuned": max(reached, default=None),
        "timings": float(sum(runs_data.about(loaded, run) for run in timed)),
    }

"""How the papers' methods work, on the page Lab: a panel each, beside a run of it step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.docs.methods import method, methods
from pruneviz.jobs.course import has_course
from pruneviz.ui.frame import actions, error_boundary, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.lab import records as lab_data
from pruneviz.ui.runs import course
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.duration import when

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench

SHORT: dict[str, dict[str, Any]] = {
    "taylor": {"epochs": 1, "epochs_before": 0, "iterations": 12},
    "soft": {"epochs": 8, "rate": 0.3},
    "binary_search": {"epochs": 1, "updates": 10},
    "genetic": {"epochs": 1, "epochs_before": 0, "generations": 10},
}
"""Options of a run that shows the method within a minute or two; the accuracy is no one's claim."""


def show() -> None:
    """Show the panel of a method, and a run of it."""
    titles = {m.name: m.title for m in methods()}
    picked = st.segmented_control(
        "Method",
        list(titles),
        default=next(iter(titles)),
        format_func=titles.__getitem__,
        key="lab_method",
        required=True,
    )
    name = str(picked)
    loaded = workbench.bench(state.history().subject)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.markdown(method(name).body.replace("## ", "#### "))
    with right:
        active = any(run.active for run in _runs(loaded, name))
        every = lab_data.POLL_SECONDS if active else None
        error_boundary.fragment(run_every=every)(_live)(loaded, name, active)


def _runs(loaded: Workbench, name: str) -> list[RunView]:
    """The runs of a method on the network and data in hand that kept steps, or are under way."""
    service = services.jobs()
    return [
        run
        for run in service.list()
        if (run.spec.options.get("strategy") == name or run.kind == name.partition("_study")[0])
        and runs_data.about(loaded, run)
        and (run.active or has_course(service.files(run.id)))
    ]


def _live(loaded: Workbench, name: str, was_active: bool) -> None:
    """The run that was picked, step by step; redrawn every second while one is under way."""
    runs = _runs(loaded, name)
    if was_active and not any(run.active for run in runs):
        st.rerun()
    if not runs:
        _none(loaded, name)
        return
    names = {run.id: f"{run.name}, {when(run.created)}" for run in runs}
    picked = st.selectbox("Run", list(names), format_func=names.__getitem__, key=f"lab_run_{name}")
    run = next(run for run in runs if run.id == picked)
    if run.active:
        st.progress(min(1.0, max(0.0, run.progress)), plain(run.message or run.status))
        lab_data.buttons(run)
    if run.error:
        st.error(plain(run.error), icon=":material/error:")
    if results := services.jobs().results(run.id).get("points"):
        from pruneviz.figures.pretraining import pretraining_figure, pretraining_info
        from pruneviz.ui.runs.run_results import study_of

        info = pretraining_info(study_of(run, {"points": results}))
        theme.chart(pretraining_figure(info, dark=theme.dark()), f"method_{run.id}")
        st.caption(info.told)
    course.watch(loaded, run)


def _none(loaded: Workbench, name: str) -> None:
    """Offer a short run where there is nothing to look at yet."""
    st.info(
        f"No run of this method on {plain(loaded.title)} yet. Its steps will be drawn here, live "
        "and with a slider.",
        icon=":material/slow_motion_video:",
    )
    if name not in SHORT:
        st.caption("Start one in the tab “Study of pretraining”.")
        return
    st.button(
        "Start a short run",
        icon=":material/play_arrow:",
        key=f"short_{name}",
        on_click=_start_short,
        args=(loaded, name),
    )


def _start_short(loaded: Workbench, name: str) -> None:
    label = f"{loaded.subject.model}: {method(name).title}, short"
    spec = runs_data.strategy_spec(loaded, name, SHORT[name], label, state.session().visitor)
    actions.attempt(services.jobs().submit, spec)
    st.rerun()

"""The page Runs: fine-tune the plan in the background, watch it, compare."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruneviz.figures import style
from pruneviz.jobs.listing import Which
from pruneviz.session.decisions import Subject, exactly
from pruneviz.session.fine_tuned import NETWORKS
from pruneviz.session.workbench import Workbench
from pruneviz.ui.export.page import EXPORTED
from pruneviz.ui.frame import actions, error_boundary, leaving, services, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import charts, choosing, course, healing, run_results, start
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.duration import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from pruneviz.jobs import RunView

POLL_SECONDS = 1.0
IDLE_SECONDS = 3.0
COLOURS = {
    "queued": "gray",
    "running": "blue",
    "cancelling": "orange",
    "cancelled": "gray",
    "done": "green",
    "failed": "red",
    "interrupted": "orange",
}


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    left, right = st.columns([1, 2], gap="large")
    with left:
        error_boundary.guarded(start.show)(loaded)
    with right:
        active = _any_active()
        error_boundary.fragment(run_every=POLL_SECONDS if active else None)(_live)(loaded, active)
        if not active:
            error_boundary.fragment(run_every=IDLE_SECONDS)(_look_out)()


def _any_active() -> bool:
    return services.jobs().count(Which(active=True)) > 0


def _look_out() -> None:
    """While nothing runs: notice what another visitor, or a command, has started."""
    if _any_active():
        st.rerun()


def _live(loaded: Workbench, was_active: bool) -> None:
    """The runs and their pictures; redrawn every second while one is active."""
    _trouble()
    shown = choosing.look()
    runs = list(shown.runs)
    active = _any_active()
    if was_active and not active:
        st.rerun()
    choosing.show(shown)
    if not shown.everything and not runs:
        st.info(
            "No runs yet. Pruning costs accuracy; fine-tuning recovers it. Start one on the left.",
            icon=":material/model_training:",
        )
        return
    if not runs:
        return
    chosen = _compared(runs, f"{shown.first}_{shown.total}")
    accuracy, loss, picture, figures = st.tabs(["Accuracy", "Loss", "Accuracy and MACs", "Table"])
    with accuracy:
        charts.training(chosen, "accuracy")
    with loss:
        charts.training(chosen, "loss")
    with picture:
        charts.tradeoff(loaded, runs, chosen)
    with figures:
        _table(chosen)
    for run in runs:
        _card(loaded, run)


def _trouble() -> None:
    """Say why runs wait, and offer what helps."""
    service = services.jobs()
    trouble = service.trouble()
    if trouble is None:
        return
    st.warning(
        f"{plain(trouble)} Until then runs wait; they resume on their own.",
        icon=":material/hourglass:",
    )
    if service.rescuable and st.button("Save what is in memory", icon=":material/save:"):
        service.rescue()
        st.rerun()


def _compared(runs: list[RunView], place: str) -> list[RunView]:
    """The runs that are drawn: those that were picked here, or the newest on the same data."""
    names = {run.id: run.name for run in runs}
    begun = sum(run.status != "queued" for run in runs)
    picked = st.multiselect(
        "Runs shown",
        list(names),
        default=charts.first_shown(runs),
        format_func=names.__getitem__,
        key=f"compared_{place}_{begun}",
    )
    return [run for run in runs if run.id in picked]


def _card(loaded: Workbench, run: RunView) -> None:
    """One run: how it stands, and what can be done with it."""
    results = services.jobs().results(run.id)
    with st.container(border=True, key=f"run_{run.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(run.name)}** :{COLOURS[run.status]}-badge[{run.status}]")
            st.caption(_facts(run, results), width="stretch")
        if run.active:
            st.progress(min(1.0, max(0.0, run.progress)), plain(run.message or run.status))
        elif run.message:
            st.caption(plain(run.message))
        for notice in (*results.get("notices", ()), *results.get("notes", ())):
            st.warning(plain(notice), icon=":material/info:")
        if quiet := run.quiet(time.time()):
            st.warning(
                f"No progress for {said(quiet)}, though the process is alive. Wait, or cancel: "
                "if the process does not respond, it is killed.",
                icon=":material/hourglass_disabled:",
            )
        if run.error:
            st.error(plain(run.error), icon=":material/error:")
            if run.trace:
                with st.expander("Full traceback"):
                    st.code(run.trace)
        healing.show(loaded, run, results)
        run_results.show(loaded, run, results)
        course.show(loaded, run)
        with st.container(horizontal=True):
            _buttons(run)
            if runs_data.about(loaded, run) and runs_data.has_plan(run):
                st.button(
                    "Use this plan",
                    key=f"plan_{run.id}",
                    on_click=_take_plan,
                    args=(run.id,),
                    icon=":material/content_cut:",
                )
            if run.status == "done" and run.kind in NETWORKS:
                st.button(
                    "Use these weights",
                    key=f"weights_{run.id}",
                    on_click=_use_weights,
                    args=(run.id,),
                    icon=":material/start:",
                    help="Prune further from here: this run's network becomes the new baseline.",
                )
            mine = run.status == "done" and runs_data.about(loaded, run)
            if mine:
                st.button(
                    "Export",
                    key=f"export_{run.id}",
                    icon=":material/download:",
                    on_click=_export,
                    args=(run.id,),
                )


def _facts(run: RunView, results: dict[str, Any]) -> str:
    parts = [whose] if (whose := services.whose(run)) else []
    parts += [said(run.seconds)] if run.seconds else []
    cost, before, after = (results.get(k) for k in ("cost", "before", "after"))
    if isinstance(cost, dict):
        parts.append(
            f"{style.si(cost['macs'], 'MACs')} "
            f"({style.change(cost['macs'], cost['baseline_macs'])})"
        )
    if isinstance(before, dict):
        text = style.percent(before["accuracy"])
        if isinstance(after, dict):
            text += f" → {style.percent(after['accuracy'])}"
        parts.append(f"top-1 {text}")
    elif isinstance(after, dict):  # a strategy's: it has no network between pruning and training
        text = f"top-1 {style.percent(after['accuracy'])}"
        base = results.get("baseline")
        told = f", unpruned {style.percent(base['accuracy'])}" if isinstance(base, dict) else ""
        parts.append(text + told)
    parts += [began] if (began := runs_data.beginning(run, results)) else []
    return " · ".join(parts)


def _buttons(run: RunView) -> None:
    service = services.jobs()
    if not services.may_change(run):
        return
    if run.active:
        _button("Cancel", "stop", run, service.cancel)
    elif run.resumable:
        _button("Resume", "play_arrow", run, service.resume)
    with st.popover("More", icon=":material/more_horiz:"):
        key = f"name_{run.id}"
        st.text_input("Name", run.name, key=key, on_change=_rename, args=(run, key))
        _button("Delete", "delete", run, service.delete)


def _rename(run: RunView, key: str) -> None:
    """Give the run the name that was typed, or the free one next to it."""
    name = str(st.session_state[key]).strip()
    if name and actions.attempt(services.jobs().rename, run.id, name):
        name = services.jobs().get(run.id).name
    st.session_state[key] = name or run.name


def _button(label: str, icon: str, run: RunView, action: Callable[[str], object]) -> None:
    def act() -> None:
        actions.attempt(action, run.id)
        st.rerun()

    st.button(label, key=f"{label}_{run.id}", icon=f":material/{icon}:", on_click=act)


def _use_weights(run_id: str) -> None:
    """Go on with the network that a run left, on the run's data."""
    spec = services.jobs().get(run_id).spec
    options = tuple(sorted(dict(spec.data.get("options", {})).items()))
    name = str(spec.data["name"])
    state.choose(Subject(str(spec.model["name"]), f"run:{run_id}", None, name, options))
    leaving.go_to("choose")


def _export(run_id: str) -> None:
    st.session_state[EXPORTED] = run_id
    leaving.go_to("export")


def _take_plan(run_id: str) -> None:
    run = services.jobs().get(run_id)
    loaded = workbench.bench(state.history().subject)
    plan = runs_data.plan_of_run(loaded, run)
    decisions = state.history().decisions
    actions.take(exactly(decisions, frozenset(plan.dropped), f"plan of {run.name}"))
    st.rerun()


def _table(runs: list[RunView]) -> None:
    """The runs side by side; Streamlit's own tables sort, search and download."""
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        table(runs),
        hide_index=True,
        column_config={
            "MACs": st.column_config.NumberColumn(format="compact"),
            "parameters": st.column_config.NumberColumn(format="compact"),
            "MACs left": share,
            "accuracy before": share,
            "accuracy after": share,
            "time": st.column_config.NumberColumn(format="%.0f s"),
        },
    )


def table(runs: list[RunView]) -> pd.DataFrame:
    """Return the runs as a table, for comparison and download."""
    rows = []
    for run in runs:
        results = services.jobs().results(run.id)
        cost = results.get("cost") or {}
        rows.append(
            {
                "run": run.name,
                "status": run.status,
                "MACs": cost.get("macs"),
                "MACs left": cost["macs"] / cost["baseline_macs"] if cost else None,
                "parameters": cost.get("params"),
                "accuracy before": (results.get("before") or {}).get("accuracy"),
                "accuracy after": (results.get("after") or {}).get("accuracy"),
                "epochs": run.spec.options.get("epochs"),
                "seed": run.spec.options.get("seed", 0),
                "time": run.seconds,
            }
        )
    return pd.DataFrame(rows)

"""The cards of the page Runs: how a run stands, and what can be done with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.figures import style
from pruneviz.session.decisions import Subject, exactly
from pruneviz.session.fine_tuned import NETWORKS
from pruneviz.session.workbench import Workbench
from pruneviz.ui.export.page import EXPORTED
from pruneviz.ui.frame import actions, leaving, services, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import course, healing, run_results
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.duration import said

if TYPE_CHECKING:
    from collections.abc import Callable

    from pruneviz.jobs import RunView

COLOURS = {
    "queued": "gray",
    "running": "blue",
    "cancelling": "orange",
    "cancelled": "gray",
    "done": "green",
    "failed": "red",
    "interrupted": "orange",
}


def show(loaded: Workbench, run: RunView, *, tagged: bool = True) -> None:
    """One run: how it stands, and what can be done with it; `tagged`: its tag, too."""
    results = services.jobs().results(run.id)
    with st.container(border=True, key=f"run_{run.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            tag = f" :gray-badge[{plain(run.tag)}]" if tagged and run.tag else ""
            st.markdown(f"**{plain(run.name)}** {badge(run.status)}{tag}")
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
                    st.code(run.trace, wrap_lines=True)
        healing.show(loaded, run, results)
        run_results.show(loaded, run, results)
        course.show(loaded, run, above=run.active)
        with st.container(horizontal=True):
            _buttons(run)
            _uses(loaded, run)


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


def _uses(loaded: Workbench, run: RunView) -> None:
    """What a person can go on with: the run's plan, its network, or files of it."""
    mine, done = runs_data.about(loaded, run), run.status == "done"
    further = "Prune further from here: this run's network becomes the new baseline."
    for offered, name, label, icon, act, about in (
        (
            mine and runs_data.has_plan(run),
            "plan",
            "Use this plan",
            "content_cut",
            _take_plan,
            None,
        ),
        (
            done and run.kind in NETWORKS,
            "weights",
            "Use these weights",
            "start",
            _use_weights,
            further,
        ),
        (mine and done, "export", "Export", "download", _export, None),
    ):
        if offered:
            st.button(
                label,
                key=f"{name}_{run.id}",
                on_click=act,
                args=(run.id,),
                icon=f":material/{icon}:",
                help=about,
            )


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
        st.text_input(
            "Tag",
            run.tag or "",
            key=f"tag_{run.id}",
            on_change=_tag,
            args=(run,),
            help="A word or two to find this run by; you can filter runs by tag.",
        )
        _button("Delete", "delete", run, service.delete)


def _rename(run: RunView, key: str) -> None:
    """Give the run the name that was typed, or the free one next to it."""
    name = str(st.session_state[key]).strip()
    if name and actions.attempt(services.jobs().rename, run.id, name):
        name = services.jobs().get(run.id).name
    st.session_state[key] = name or run.name


def _tag(run: RunView) -> None:
    actions.attempt(services.jobs().tag, run.id, str(st.session_state[f"tag_{run.id}"]))


def badge(status: str, text: str = "") -> str:
    """The state of a run, or of several, as a badge."""
    return f":{COLOURS[status]}-badge[{text or status}]"


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
    subject = Subject(str(spec.model["name"]), f"run:{run_id}", None, name, options)
    if actions.attempt(state.choose, subject):
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

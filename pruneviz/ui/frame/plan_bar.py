"""The bar at the foot of every page: what the plan in hand costs and gains, undo and redo."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError, UnknownNameError
from pruneviz.figures import style
from pruneviz.figures.stats import wilson
from pruneviz.jobs.listing import Which
from pruneviz.ui.frame import error_boundary, leaving, services, state, workbench
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from pruneviz.plan import Plan
    from pruneviz.session.previews import Worth
    from pruneviz.session.workbench import Workbench
    from pruneviz.training import Evaluation

KEY = "planbar"
CUT = "cut"
POLL_SECONDS = 0.15
RUN_SECONDS = 1.5
WATCHED = "watched_runs"


def show() -> None:
    """Show the bar; it stays in sight while the page scrolls."""
    with st.bottom:
        _bar()


def rerun_app(action: object) -> None:
    """Do something in a callback, then draw the whole page anew."""
    assert callable(action)
    state.hold_address()
    action()
    st.rerun()


@error_boundary.fragment(key=KEY)
def _bar() -> None:
    history = state.history()
    with st.container(key=KEY, horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Undo",
            icon=":material/undo:",
            key="undo",
            disabled=not history.can_undo,
            help=f"Undo: {plain(history.step.label)}" if history.can_undo else "Nothing to undo",
            on_click=rerun_app,
            args=(state.undo,),
            shortcut="Ctrl+Z",
        )
        st.button(
            "Redo",
            icon=":material/redo:",
            key="redo",
            disabled=not history.can_redo,
            help="Redo the step you undid",
            on_click=rerun_app,
            args=(state.redo,),
            shortcut="Ctrl+Y",
        )
        with st.container(width="stretch", gap=None):
            try:
                waiting = _numbers()
            except PruneVizError as error:
                st.caption(f"No plan to show: {plain(error)}")
                return
            _announce()
            if services.jobs().count(Which(active=True)):
                _under_way()
        if history.can_undo:
            st.button(
                "Fine-tune",
                icon=":material/model_training:",
                key="to_runs",
                type="primary",
                help="Prune by the current plan and train the result in the background.",
                on_click=leaving.go_to,
                args=("runs",),
            )
    if waiting:
        _tick()


def _numbers() -> bool:
    """Show the numbers; tell whether one of them is still being measured."""
    history = state.history()
    loaded = workbench.bench(history.subject)
    plan, cost = state.in_hand()
    visitor = state.session().visitor
    base = workbench.accuracy(loaded, None)
    worth = workbench.worth(loaded, plan, owner=visitor)
    parts = [
        _cost("MACs", cost.macs, cost.baseline_macs),
        _cost("Parameters", cost.params, cost.baseline_params),
        _accuracy(loaded, worth, base.value),
        _fine_tuned(loaded, plan, base.value),
    ]
    units = len(plan)
    total = sum(group.width for group in loaded.graph.prunable_groups)
    parts.insert(0, _part("Filters pruned", f"{units:,} of {total:,}", ""))
    st.html(f'<div class="pv-bar" role="status">{"".join(parts)}</div>')
    return services.previews().pending(visitor) or _more_to_come(loaded, worth)


def _more_to_come(loaded: Workbench, worth: Worth) -> bool:
    """Whether drawing the bar again would ask for, or show, something new."""
    if worth.whole:
        return not worth.cut.ready
    return not worth.cut.ready or (loaded.repairs_quickly and not worth.repaired.ready)


def _accuracy(loaded: Workbench, worth: Worth, base: Evaluation | None) -> str:
    """The accuracy of the plan: repaired in front, right after the cut small behind it."""
    subject = state.history().subject
    images = f"on {loaded.preview_images} images"
    best = worth.best
    if best is None and worth.error:
        return _part(f"Top-1 {images}", "not measured", escape(worth.error))
    if best is None or worth.kind == CUT:
        last_subject, last = st.session_state.get("shown_accuracy", (None, None))
        if last_subject == subject and last is not None:
            note = "previous plan; measuring …"
            return _part(f"Top-1 {images}", style.percent(last), note, stale=True)
        return _part(f"Top-1 {images}", "…", "measuring")
    st.session_state.shown_accuracy = (subject, best.accuracy)
    name = f"Top-1 {images}" if worth.whole else f"Top-1, {worth.kind}, {images}"
    low, high = wilson(best.accuracy, best.count)
    notes = [f"({100 * low:.1f} to {100 * high:.1f})"]
    if not worth.whole and base is not None:
        notes.insert(0, style.points(best.accuracy, base.accuracy))
    if not worth.whole and worth.cut.value is not None:
        notes.append(f"· {style.percent(worth.cut.value.accuracy)} before repair")
    return _part(name, style.percent(best.accuracy), " ".join(notes))


def _fine_tuned(loaded: Workbench, plan: Plan, base: Evaluation | None) -> str:
    """What the newest finished run made of this very plan; nothing where there is none."""
    from pruneviz.session.fine_tuned import of_plan

    outcome = of_plan(services.jobs(), loaded, plan)
    if outcome is None:
        return ""
    low, high = wilson(outcome.accuracy, outcome.count)
    notes = [f"({100 * low:.1f} to {100 * high:.1f})"]
    if base is not None and base.count == outcome.count:
        notes.insert(0, style.points(outcome.accuracy, base.accuracy))
    name = f"Fine-tuned, on {outcome.count:,} images"
    return _part(name, style.percent(outcome.accuracy), " ".join(notes), tip=outcome.run.name)


def _cost(name: str, after: int, before: int) -> str:
    note = style.change(after, before) if after != before else ""
    return _part(name, style.si(after), f"{note} of {style.si(before)}" if note else "")


def _part(name: str, value: str, note: str, *, stale: bool = False, tip: str = "") -> str:
    marks = ' class="pv-stale"' if stale else ""
    marks += f' title="{escape(tip)}"' if tip else ""
    return (
        f'<span{marks}><span class="pv-name">{escape(name)}</span><b>{value}</b> '
        f'<span class="pv-note">{note}</span></span>'
    )


@error_boundary.fragment(run_every=POLL_SECONDS)
def _tick() -> None:
    """Look now and then whether an accuracy has been measured; then draw the page with it.

    Drawing the bar alone would be enough for the first of several, but Streamlit lets nothing but a
    callback ask for a part of the page.
    """
    if not services.previews().pending(state.session().visitor):
        st.rerun()


@error_boundary.fragment(run_every=RUN_SECONDS)
def _under_way() -> None:
    """Say what runs in the background; once a run has ended, draw the page with its result."""
    active = services.jobs().list(Which(active=True))
    watched = st.session_state.setdefault(WATCHED, set())
    if watched - {run.id for run in active}:
        st.rerun()
    watched.update(run.id for run in active)
    active = tuple(sorted(active, key=lambda run: run.status == "queued"))  # at work first
    parts = [
        _part(escape(run.name), style.percent(run.progress, 0), escape(run.message or run.status))
        for run in active[:2]
    ]
    more = f"and {len(active) - 2} more" if len(active) > 2 else ""
    st.html(f'<div class="pv-bar">{"".join(parts)}<span class="pv-note">{more}</span></div>')


def _announce() -> None:
    """Tell of the runs that have ended since the page was drawn last."""
    watched: set[str] = st.session_state.setdefault(WATCHED, set())
    for run_id in tuple(watched):
        try:
            run = services.jobs().get(run_id)
        except UnknownNameError:  # deleted meanwhile
            watched.discard(run_id)
            continue
        if not run.active:
            watched.discard(run.id)
            icon = ":material/check_circle:" if run.status == "done" else ":material/info:"
            st.toast(f"'{plain(run.name)}' is {run.status}.", icon=icon, duration="long")

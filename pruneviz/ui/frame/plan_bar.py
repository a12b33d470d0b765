"""The bar at the foot of every page: what the plan in hand costs and gains, undo and redo."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError, UnknownNameError
from pruneviz.figures import style
from pruneviz.figures.stats import wilson
from pruneviz.jobs.listing import Which
from pruneviz.ui.frame import error_boundary, leaving, services, state, workbench
from pruneviz.ui.frame.bar_parts import Part, bar_html, cost_part, runs_html
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from pruneviz.plan import Plan
    from pruneviz.session.previews import Worth
    from pruneviz.session.workbench import Workbench
    from pruneviz.training import Evaluation

KEY = "planbar"
CUT = "cut"
POLL_SECONDS = 0.15
RUN_SECONDS = 1.5
REST_SECONDS = 0.7
"""How long a slider rests before what it says is kept."""
WATCHED = "watched_runs"
OPENED = "bar_opened"
SHOWN = "bar_shown"
"""Where a visitor's state keeps the subject whose numbers the bar shows."""


def make_way(place: DeltaGenerator) -> None:
    """Hide another network's numbers while the page of this one is made, which may take a minute.

    Says so in `place`, which `show` empties.
    """
    subject = state.history().subject
    if st.session_state.get(SHOWN, subject) != subject:
        hidden = f"<style>.st-key-{KEY} {{ display: none }}</style>"
        place.html(f"{hidden}<div class='pv-bar'>Loading {escape(subject.title)} …</div>")


def show(place: DeltaGenerator) -> None:
    """Show the bar; it stays in sight while the page scrolls."""
    with st.bottom:
        _bar()
    place.empty()
    st.session_state[SHOWN] = state.history().subject


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
                waiting = _waiting()
            except PruneVizError as error:
                st.caption(f"No plan to show: {plain(error)}")
                return
            error_boundary.fragment(run_every=POLL_SECONDS if waiting else None)(_numbers)(waiting)
            if state.page_is_behind():
                since = time.monotonic()
                error_boundary.fragment(run_every=REST_SECONDS)(_catch_up)(since, waiting)
            _announce()
            if services.jobs().count(Which(active=True)):
                _under_way()
        _unfold()
        if history.can_undo:
            st.button(
                "Fine-tune",
                icon=":material/model_training:",
                key="to_runs",
                type="primary",
                help="Prune with the current plan and train the result in the background.",
                on_click=leaving.go_to,
                args=("runs",),
            )


def _unfold() -> None:
    """Offer a narrow screen all numbers; a wide one shows them anyway and has no such button."""
    opened = _opened()
    st.button(
        "Fewer numbers" if opened else "All numbers",
        icon=":material/keyboard_arrow_down:" if opened else ":material/keyboard_arrow_up:",
        key="bar_fold",
        on_click=st.session_state.__setitem__,
        args=(OPENED, not opened),
    )


def _opened() -> bool:
    return bool(st.session_state.get(OPENED))


def _waiting() -> bool:
    """Whether one of the numbers is still being measured; what is missing is asked for."""
    history = state.history()
    loaded = workbench.bench(history.subject)
    visitor = state.session().visitor
    worth = workbench.worth(loaded, state.in_hand()[0], owner=visitor)
    return services.previews().pending(visitor) or _more_to_come(loaded, worth)


def _numbers(waiting: bool) -> None:
    """Show the numbers; while one is being measured this is drawn again and again, by itself.

    Once all are known the page is drawn with them.
    """
    if waiting and not _waiting():
        st.rerun()
    history = state.history()
    loaded = workbench.bench(history.subject)
    plan, cost = state.in_hand()
    base = workbench.accuracy(loaded, None)
    worth = workbench.worth(loaded, plan, owner=state.session().visitor)
    total = sum(group.width for group in loaded.graph.prunable_groups)
    parts = [
        Part("Filters pruned", f"{len(plan):,} of {total:,}"),
        cost_part("MACs", cost.macs, cost.baseline_macs, brief="MACs"),
        cost_part("Parameters", cost.params, cost.baseline_params),
        _accuracy(loaded, worth, base.value),
        *_fine_tuned(loaded, plan, base.value),
    ]
    st.html(bar_html(parts, opened=_opened()))


def _catch_up(since: float, waiting: bool) -> None:
    """Keep the step and give it its address once the hand rests, and draw the page with it.

    What has to be measured may take many seconds: the page is drawn then, but a reload meanwhile
    must not lose the step.
    """
    if time.monotonic() - since < REST_SECONDS / 2:
        return
    if not waiting:
        st.rerun()
    state.close_studio()


def _more_to_come(loaded: Workbench, worth: Worth) -> bool:
    """Whether drawing the bar again would ask for, or show, something new."""
    if worth.whole:
        return not worth.cut.ready
    return not worth.cut.ready or (loaded.repairs_quickly and not worth.repaired.ready)


def _accuracy(loaded: Workbench, worth: Worth, base: Evaluation | None) -> Part:
    """The accuracy of the plan: repaired in front, right after the cut small behind it."""
    subject = state.history().subject
    images = f"on {loaded.preview_images} images"
    best = worth.best
    if best is None and worth.error:
        note = escape(worth.error)
        return Part(f"Top-1 {images}", "not measured", note, brief="Top-1", tip=worth.error)
    if best is None or worth.kind == CUT:
        last_subject, last = st.session_state.get("shown_accuracy", (None, None))
        if last_subject == subject and last is not None:
            note = "previous plan; measuring …"
            value = style.percent(last)
            return Part(f"Top-1 {images}", value, note, brief="measuring", stale=True)
        return Part(f"Top-1 {images}", "…", "measuring", brief="measuring")
    st.session_state.shown_accuracy = (subject, best.accuracy)
    name = f"Top-1 {images}" if worth.whole else f"Top-1, {worth.kind}, {images}"
    low, high = wilson(best.accuracy, best.count)
    notes = [f"({100 * low:.1f} to {100 * high:.1f})"]
    if not worth.whole and base is not None:
        notes.insert(0, style.points(best.accuracy, base.accuracy))
    if not worth.whole and worth.cut.value is not None:
        notes.append(f"· {style.percent(worth.cut.value.accuracy)} before repair")
    brief = "Top-1" if worth.whole else worth.kind
    return Part(name, style.percent(best.accuracy), " ".join(notes), brief)


def _fine_tuned(loaded: Workbench, plan: Plan, base: Evaluation | None) -> tuple[Part, ...]:
    """What the newest finished run made of this very plan; nothing where there is none."""
    from pruneviz.session.fine_tuned import of_plan

    outcome = of_plan(services.jobs(), loaded, plan)
    if outcome is None:
        return ()
    low, high = wilson(outcome.accuracy, outcome.count)
    notes = [f"({100 * low:.1f} to {100 * high:.1f})"]
    if base is not None and base.count == outcome.count:
        notes.insert(0, style.points(outcome.accuracy, base.accuracy))
    name = f"Fine-tuned, on {outcome.count:,} images"
    value = style.percent(outcome.accuracy)
    return (Part(name, value, " ".join(notes), tip=outcome.run.name),)


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
        Part(run.name, style.percent(run.progress, 0), escape(run.message or run.status))
        for run in active[:2]
    ]
    more = f"and {len(active) - 2} more" if len(active) > 2 else ""
    share = active[0].progress if active else 0.0
    st.html(runs_html(parts, share, more, opened=_opened()))


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

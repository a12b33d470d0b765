"""One visitor's state: a history for each subject, and the address that brings it back."""

from __future__ import annotations

import operator
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from pruneviz.errors import StorageError
from pruneviz.session.decisions import Change, Subject
from pruneviz.session.history import History
from pruneviz.ui.frame import services

ADDRESS = "at"
CONTROLS = "controls"
PASSING_SECONDS = 1.5
"""A slider that moves on within this time has only passed through where it was."""


@dataclass(frozen=True)
class Studio:
    """What a visitor works on."""

    subject: Subject
    histories: Mapping[Subject, History]
    visitor: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def history(self) -> History:
        """The history of the subject in hand."""
        return self.histories[self.subject]

    def with_history(self, history: History) -> Studio:
        """Return the studio after a change of the plan, or of the subject with it."""
        histories = {**self.histories, history.subject: history}
        return replace(self, subject=history.subject, histories=histories)

    def choose(self, subject: Subject) -> Studio:
        """Take up another subject, where it was left if it was in hand before."""
        return self.with_history(self.histories.get(subject) or History.begin(subject))


def begin() -> Studio:
    """Return the studio of a first-time visitor."""
    subject = Subject()
    return Studio(subject, {subject: History.begin(subject)})


def open_studio() -> None:
    """At the start of every run: take up what the address names, if it names something new."""
    if "studio" not in st.session_state:
        st.session_state.studio = begin()
    asked = st.query_params.get(ADDRESS)
    if asked is None or asked == st.session_state.get("address"):
        return
    st.session_state.address = asked
    studio: Studio = st.session_state.studio
    if asked in studio.history.steps:
        _put(studio.with_history(studio.history.go(asked)))
        return
    found = services.steps().load(asked)
    if found is None:
        st.toast(f"The address names a plan ({asked}) that is not kept here; it was left out.")
        return
    _put(studio.with_history(found))


def close_studio() -> None:
    """At the end of every run: make the address say what is in hand, and keep it."""
    history = studio().history
    plain = history.subject == Subject() and not history.can_undo
    address = None if plain else history.current
    if address == st.session_state.get("address") and address == st.query_params.get(ADDRESS):
        return
    st.session_state.address = address
    if address is None:
        st.query_params.pop(ADDRESS, None)
        return
    try:
        services.steps().save(history)
    except OSError as error:
        raise StorageError(
            f"The plan's steps cannot be kept in {services.home()} ({error.strerror}); free some "
            "space or start PruneViz with another --home."
        ) from error
    st.query_params[ADDRESS] = address


def studio() -> Studio:
    """Return what the visitor works on."""
    state: Studio = st.session_state.studio
    return state


def history() -> History:
    """Return the history of the subject in hand."""
    return studio().history


def _put(value: Studio) -> None:
    st.session_state.studio = value


def change(step: Change, *, slider: str | None = None) -> None:
    """Take a step; what a slider only passes through on its way is none."""
    now = time.monotonic()
    last, where, when = st.session_state.get("last_move", (None, "", 0.0))
    passing = slider is not None and (last, where) == (slider, history().current)
    if passing and now - when < PASSING_SECONDS:
        _put(studio().with_history(history().amend(step)))
    else:
        _put(studio().with_history(history().push(step)))
    st.session_state.last_move = (slider, history().current, now)


def undo() -> None:
    """Go back one step."""
    _put(studio().with_history(history().undo()))


def redo() -> None:
    """Go forward again."""
    _put(studio().with_history(history().redo()))


def go(digest: str) -> None:
    """Go to any step of the history."""
    _put(studio().with_history(history().go(digest)))


def choose(subject: Subject) -> None:
    """Take up another subject."""
    _put(studio().choose(subject))


@dataclass(frozen=True)
class Control:
    """Under which key a control is drawn, and what it shows until a hand moves it."""

    name: str
    number: int
    start: Any

    @property
    def key(self) -> str:
        """The control's key for Streamlit."""
        return f"{self.name}-{self.number}" if self.number else self.name


def control(name: str, value: Any, same: Callable[[Any, Any], bool] = operator.eq) -> Control:
    """Return the control that is to show a value decided elsewhere (undo, another slider).

    While one slider is moved quickly, the browser sends the former values of the others along, as
    if a hand had put them there. So a control that has to give up its value becomes a new one,
    with a key of its own: what the browser still says of the old one concerns nobody. One that
    shows the value already keeps its key, its focus, and the hand on it. `same(shown, value)`
    tells whether it does.
    """
    controls: dict[str, Control] = st.session_state.setdefault(CONTROLS, {})
    now = controls.get(name)
    shown = None if now is None else st.session_state.get(now.key)
    if now is None:
        controls[name] = Control(name, 0, value)
    elif shown is None or not same(shown, value):  # also: its page was left, and is drawn again
        controls[name] = Control(name, now.number + 1, value)
    return controls[name]


def control_value(name: str) -> Any:
    """Return what the control of that name says now; for its callback."""
    return st.session_state[st.session_state[CONTROLS][name].key]

"""One visitor's state: a history for each subject, and the address that brings it back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import streamlit as st

from pruneviz.errors import StorageError
from pruneviz.ui import services
from pruneviz.ui.history import History
from pruneviz.ui.workspace import Change, Subject

ADDRESS = "at"


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


def change(step: Change) -> None:
    """Take a step."""
    _put(studio().with_history(history().push(step)))


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


def show_in(key: str, value: object) -> None:
    """Have a control show a value that was decided elsewhere (undo, another slider).

    What it shows already is not set again: a value that is set overrules the hand that may have
    moved the control further meanwhile.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def show_ratio_in(key: str, dropped: int, width: int) -> None:
    """Have a slider in percent show that `dropped` of `width` units go.

    Several positions mean the same number of units; the hand's own is left as it is.
    """
    shown = st.session_state.get(key)
    if shown is None or min(int(shown / 100 * width + 0.5), width - 1) != dropped:
        st.session_state[key] = round(100 * dropped / width)
        if shown is not None:
            _overruled(key)[shown] = time.monotonic()


ECHO = 8.0
"""Seconds in which a value that was overruled may still come back from the browser."""


def is_echo(key: str) -> bool:
    """Whether a control's value is an old one that the browser sent before it heard of the new.

    While one slider is moved quickly the others follow; the browser sends their former values
    along with the next move, as if a hand had put them there.
    """
    when = _overruled(key).get(st.session_state.get(key))
    return when is not None and time.monotonic() - when < ECHO


def _overruled(key: str) -> dict[object, float]:
    """Values that the control lately had to give up, and when."""
    values: dict[object, float] = st.session_state.setdefault(f"overruled {key}", {})
    return values

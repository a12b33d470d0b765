"""How far a visitor has come in a lesson: in the address, so that a link resumes at a step."""

from __future__ import annotations

import streamlit as st

from pruneviz.lessons import Lesson, lesson, names
from pruneviz.ui.frame import arrival

QUERY = "lesson"
CURRENT = "lesson_current"
ANSWERS = "lesson_answers"
CHOICES = "lesson_choices"
DONE = "lesson_done"


def current() -> tuple[Lesson, int] | None:
    """Return the lesson under way and the number of its step; None without one."""
    name, _, number = str(st.session_state.get(CURRENT, "")).rpartition(".")
    if name not in names():
        return None
    tour = lesson(name)
    step = int(number) if number.isdigit() else 1
    return tour, min(max(step, 1), len(tour.steps)) - 1


def open_lesson() -> None:
    """At the start of a run: open the lesson that the address names, if a person asked for it."""
    asked = st.query_params.get(QUERY)
    if asked is not None and arrival.asked():
        st.session_state[CURRENT] = asked
    now = current()
    written = None if now is None else f"{now[0].name}.{now[1] + 1}"
    if written is None:
        st.query_params.pop(QUERY, None)
    elif asked != written:
        st.query_params[QUERY] = written


def go(name: str, step: int) -> None:
    """Go to a step, counted from 0."""
    st.session_state[CURRENT] = f"{name}.{step + 1}"


def end() -> None:
    """Put the lesson away."""
    st.session_state.pop(CURRENT, None)


def answers() -> dict[tuple[str, int], int]:
    """Return what the visitor answered, by lesson and step."""
    given: dict[tuple[str, int], int] = st.session_state.setdefault(ANSWERS, {})
    return given


def choices() -> dict[tuple[str, int], int]:
    """Return what the visitor has chosen so far and may still change, by lesson and step.

    Kept here, as a browser forgets what is chosen while the next page arrives.
    """
    chosen: dict[tuple[str, int], int] = st.session_state.setdefault(CHOICES, {})
    return chosen


def done() -> set[tuple[str, int]]:
    """Return the steps that were done, by lesson and step: what was done once stays done."""
    steps_done: set[tuple[str, int]] = st.session_state.setdefault(DONE, set())
    return steps_done

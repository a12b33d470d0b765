"""A class's answers on the teacher's screen: how many so far, and the bars once revealed."""

from __future__ import annotations

import streamlit as st

from pruneviz.figures.votes import votes_figure
from pruneviz.lessons import Lesson
from pruneviz.ui.frame import actions, error_boundary, state, theme
from pruneviz.ui.frame.services import votes
from pruneviz.ui.serving import visitors

POLL_SECONDS = 2.0
REVEALED = "revealed_answers"


def give(lesson: Lesson, step: int, choice: int) -> None:
    """Count a visitor's prediction, once a browser."""
    visitor = visitors.here().id or state.session().visitor
    actions.attempt(votes().give, lesson.name, step, visitor, choice)


def show(lesson: Lesson) -> None:
    """Show them to who owns the studio; visitors are to predict for themselves."""
    if not visitors.here().owns_studio:
        return
    with st.popover("Class answers", icon=":material/bar_chart:"):
        error_boundary.fragment(run_every=POLL_SECONDS)(_show)(lesson)


def _show(lesson: Lesson) -> None:
    st.caption(
        "Counts the answers of everyone who uses this studio, without names. The counts last "
        "until you clear them."
    )
    revealed: set[tuple[str, int]] = st.session_state.setdefault(REVEALED, set())
    given = 0
    for number, step in enumerate(lesson.steps):
        if not step.ask:
            continue
        counts, place = (
            votes().counts(lesson.name, number, len(step.choices)),
            (lesson.name, number),
        )
        given += sum(counts)
        st.markdown(f"**{number + 1}. {step.ask}**")
        if place in revealed:
            figure = votes_figure(step.choices, counts, step.right, dark=theme.dark())
            theme.chart(figure, f"votes_{lesson.name}_{number}")
            continue
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{sum(counts)} answer{'' if sum(counts) == 1 else 's'}", width="content")
            st.button(
                "Reveal",
                key=f"reveal_{lesson.name}_{number}",
                disabled=not sum(counts),
                on_click=revealed.add,
                args=(place,),
            )
    if given:
        st.button(
            "Clear all answers",
            key=f"clear_votes_{lesson.name}",
            type="tertiary",
            on_click=_clear,
            args=(lesson,),
        )


def _clear(lesson: Lesson) -> None:
    if not actions.attempt(votes().clear, lesson.name):
        return
    revealed: set[tuple[str, int]] = st.session_state.setdefault(REVEALED, set())
    revealed -= {place for place in revealed if place[0] == lesson.name}

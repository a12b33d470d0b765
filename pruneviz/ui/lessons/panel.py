"""The lesson under way, in the sidebar of every page: a step at a time."""

from __future__ import annotations

import streamlit as st

from pruneviz.lessons import Lesson, Step, lesson
from pruneviz.ui.frame import error_boundary, leaving, state
from pruneviz.ui.lessons import class_answers, progress
from pruneviz.ui.lessons.facts import facts

POLL_SECONDS = 1.0


def show() -> None:
    """Show the step that the visitor is at, if there is a lesson under way."""
    progress.open_lesson()
    now = progress.current()
    if now is None:
        return
    tour, number = now
    waits = (tour.name, number) not in progress.done()
    with st.sidebar:
        error_boundary.fragment(run_every=POLL_SECONDS if waits else None)(_step)(tour, number)


def _step(current: Lesson, number: int) -> None:
    step, place = current.steps[number], (current.name, number)
    st.caption(f"{current.title} · step {number + 1} of {len(current.steps)}")
    st.progress((number + 1) / len(current.steps))
    st.subheader(step.title)
    st.markdown(step.text)
    if step.page and step.page != st.session_state.get(state.PAGE):
        # What the step asks is shown on its page alone: a browser forgets what a visitor chooses
        # while a page arrives.
        st.button(
            f"Go to {step.page.title()}",
            key="lesson_page",
            icon=":material/arrow_forward:",
            on_click=leaving.go_to,
            args=(step.page,),
        )
        if place not in progress.done():
            _onward(current, number, done=False)
            return
    if step.ask and not _answered(step, place):
        _onward(current, number, done=False)
        return
    known = facts()
    done = place in progress.done()
    if step.do:
        if not done and step.done(known):
            progress.done().add(place)
            st.rerun()
        mark = ":material/check_box:" if done else ":material/check_box_outline_blank:"
        st.markdown(f"{mark} **{step.do}**")
    elif not done:
        progress.done().add(place)
        st.rerun()
    if done:
        _reveal(step, place)
    _onward(current, number, done)


def _answered(step: Step, place: tuple[str, int]) -> bool:
    """Ask for a prediction; what was predicted stays in sight."""
    given = progress.answers().get(place)
    st.markdown(f"**{step.ask}**")
    key = f"lesson_ask_{place[0]}_{place[1]}"
    st.radio(
        step.ask,
        range(len(step.choices)),
        index=progress.choices().get(place) if given is None else given,
        key=key,
        on_change=_choose,
        args=(place, key),
        format_func=step.choices.__getitem__,
        label_visibility="collapsed",
        disabled=given is not None,
    )
    if given is None:
        st.button(
            "Submit prediction",
            key="lesson_predict",
            disabled=place not in progress.choices(),
            type="primary",
            on_click=_predict,
            args=(place,),
        )
    return given is not None


def _choose(place: tuple[str, int], key: str) -> None:
    chosen = st.session_state.get(key)
    if chosen is not None:
        progress.choices()[place] = int(chosen)


def _predict(place: tuple[str, int]) -> None:
    chosen = progress.choices().get(place)
    if chosen is None or place in progress.answers():
        return
    progress.answers()[place] = chosen
    class_answers.give(lesson(place[0]), place[1], chosen)
    st.rerun()


def _reveal(step: Step, place: tuple[str, int]) -> None:
    given = progress.answers().get(place)
    if given is not None:
        right = given == step.right
        told = "You were right." if right else f"The right answer: {step.choices[step.right]}."
        (st.success if right else st.info)(told)
    if step.reveal:
        st.markdown(step.revealed(facts()))


def _onward(current: Lesson, number: int, done: bool) -> None:
    last = number + 1 == len(current.steps)
    with st.container(horizontal=True):
        st.button(
            "Back",
            key="lesson_back",
            disabled=number == 0,
            on_click=_go,
            args=(current.name, number - 1),
        )
        st.button(
            "Finish" if last else "Next",
            key="lesson_next",
            type="primary" if done else "secondary",
            disabled=not done,
            on_click=_end if last else _go,
            args=() if last else (current.name, number + 1),
        )
        if not last:
            st.button("Leave lesson", key="lesson_end", type="tertiary", on_click=_end)


def _go(name: str, step: int) -> None:
    progress.go(name, step)
    st.rerun()


def _end() -> None:
    progress.end()
    st.rerun()

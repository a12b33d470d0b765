"""The page Lessons: what there is to learn here, and how far one has come."""

from __future__ import annotations

import streamlit as st

from pruneviz.lessons import lesson, names
from pruneviz.ui.frame import leaving
from pruneviz.ui.lessons import class_answers, progress


def show() -> None:
    """Show the page."""
    st.caption(
        "A lesson runs beside the studio, one step at a time: read, predict, try, see. The page's "
        "address includes the step, so you can share it as a link."
    )
    now = progress.current()
    for name in names():
        shown = lesson(name)
        done = sum((name, i) in progress.done() for i in range(len(shown.steps)))
        with st.container(border=True):
            st.subheader(shown.title)
            st.markdown(shown.summary)
            with st.container(horizontal=True, vertical_alignment="center"):
                under_way = now is not None and now[0].name == name
                label = "Continue" if under_way else "Begin"
                st.button(
                    label,
                    key=f"begin_{name}",
                    type="primary" if done == 0 else "secondary",
                    on_click=_begin,
                    args=(name, now[1] if under_way and now is not None else 0),
                )
                st.caption(f"{len(shown.steps)} steps, {done} done")
                class_answers.show(shown)


def _begin(name: str, step: int) -> None:
    progress.go(name, step)
    leaving.go_to(lesson(name).steps[step].page or "choose")

"""Going through a run's steps: by hand with a slider, or played like a film."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pruneviz.ui.frame import error_boundary

PACE = 0.6
"""Seconds that a step is looked at while it plays."""
FRAMES = 30
"""About as many steps are shown while a run plays; of a longer one, not every step."""
BEGUN, GOING = "begun", "going"


def replay(key: str, word: str, first: int, last: int, show: Callable[[int], None]) -> None:
    """Show a step of an ended run: that of the slider, which a button sets in motion.

    Args:
        key: Of the slider.
        word: What is counted: "Epoch" or "Step".
        first: The first step.
        last: The last one; where the slider stands at first.
        show: Draws a step.
    """
    if first == last:
        show(last)
        return
    pace = PACE if st.session_state.get(_playing(key)) else None
    error_boundary.fragment(run_every=pace)(_draw)(key, word, first, last, show)


def _draw(key: str, word: str, first: int, last: int, show: Callable[[int], None]) -> None:
    playing = st.session_state.get(_playing(key))
    if playing == BEGUN:
        st.session_state[_playing(key)] = GOING  # the step it begins with is shown, too
    elif playing:
        now = int(st.session_state.get(key, first))
        st.session_state[key] = onward(now, first, last)
        if st.session_state[key] == last:
            del st.session_state[_playing(key)]
            st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.button(
            "Pause" if playing else "Play",
            key=f"play_{key}",
            icon=":material/pause:" if playing else ":material/play_arrow:",
        ):
            _turn(key, first, last)
            st.rerun()
        st.session_state.setdefault(key, last)
        step = int(st.slider(word, first, last, key=key))
    show(step)


def onward(now: int, first: int, last: int) -> int:
    """The step that is shown after this one."""
    return min(last, now + max(1, (last - first) // FRAMES))


def _turn(key: str, first: int, last: int) -> None:
    """Begin to play, from the start where the end was reached; or pause."""
    if st.session_state.pop(_playing(key), None):
        return
    st.session_state[_playing(key)] = BEGUN
    if st.session_state.get(key, last) >= last:
        st.session_state[key] = first


def _playing(key: str) -> str:
    return f"playing_{key}"

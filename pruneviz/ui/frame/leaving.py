"""Leaving for another page, from anywhere: a button, a callback, a part of a page.

Buttons that lead away, or that start something, do so in their callback: Streamlit calls it even
where the run that the click asked for is cut short before it has come to the button.

The page is switched at the beginning of a run of the whole app: nothing is drawn twice, and
callbacks, which run before the app has said which pages there are, may ask for it, too.
"""

from __future__ import annotations

import streamlit as st

GOING = "going_to"


def go_to(name: str) -> None:
    """Leave for the page of that name."""
    st.session_state[GOING] = name
    st.rerun()


def leave() -> None:
    """Switch the page if that was asked for; once the app has said which pages there are."""
    going = st.session_state.pop(GOING, None)
    if going is not None:
        st.switch_page(f"pages/{going}.py")

"""Leaving for another page, from anywhere: a button, a callback, a part of a page.

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

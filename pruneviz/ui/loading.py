"""One place at the top of every page that says what is being waited for.

Streamlit matches what a run draws with what the last run drew by position. A spinner that is there
in one run and not in the next would shift all that follows, and for a moment the page would show
everything twice; so its place is always there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

PLACE = "loading_place"


def reserve() -> None:
    """Keep the place; called once a run, before the page is drawn."""
    st.session_state[PLACE] = st.empty()


@contextmanager
def loading(text: str) -> Iterator[Any]:
    """Show a spinner with a text; yields a container for more, such as a progress bar."""
    place = st.session_state.get(PLACE)
    if place is None:
        with st.spinner(text):
            yield st.empty()
        return
    with place.container():
        more = st.empty()
        with st.spinner(text):
            yield more
    place.empty()

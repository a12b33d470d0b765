"""One place at the top of every page that says what is being waited for.

Streamlit matches what a run draws with what the last run drew by position. A spinner that is there
in one run and not in the next would shift all that follows, and for a moment the page would show
everything twice; so its place is always there.

The place is two elements that stay what they are, never a container that is filled and emptied: of
what is sent within the same moment Streamlit keeps the last at each place, so the browser would be
told of the contents of a container that it no longer knows, and show an empty page.

A part of the page that is drawn anew by itself may not write to that place, and has none of its
own: there Streamlit's own sign that something runs must do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

PLACE = "loading_place"


class Silent:
    """A container that shows nothing."""

    def progress(self, *_: object) -> None:
        """Do not show how far it is."""


@contextmanager
def reserved() -> Iterator[None]:
    """Keep the place while a whole page is drawn."""
    st.session_state[PLACE] = (st.empty(), st.empty())
    try:
        yield
    finally:
        st.session_state.pop(PLACE, None)


@contextmanager
def loading(text: str) -> Iterator[Any]:
    """Show a spinner with a text in the place, while there is one.

    Yields a container for more, such as a progress bar.
    """
    place = st.session_state.get(PLACE)
    if place is None:
        yield Silent()
        return
    more, spot = place
    try:
        with spot, st.spinner(text):
            yield more
    finally:  # also where it failed
        more.empty()

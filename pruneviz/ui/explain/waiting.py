"""What is computed in the background, and shown when it is there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import streamlit as st

from pruneviz.ui.frame import error_boundary
from pruneviz.ui.frame.services import background
from pruneviz.ui.frame.text import plain

T = TypeVar("T")
POLL_SECONDS = 0.3


def answer(key: Hashable, work: Callable[[], T], doing: str) -> T | None:
    """Return what was computed; until then say what is being done, and draw the page once it is."""
    reply = background().ask(key, work)
    if reply.error:
        st.caption(f"Nothing to show: {plain(reply.error)}")
    elif reply.value is None:
        st.caption(doing)
        error_boundary.fragment(run_every=POLL_SECONDS)(_wait)(key)
    return reply.value


def _wait(key: Hashable) -> None:
    if background().look(key).ready:
        st.rerun()

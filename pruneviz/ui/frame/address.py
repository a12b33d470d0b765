"""What the address of a page says beside the plan: the view, the layer, the second criterion.

Streamlit can bind a query parameter to a widget, but then refuses to leave the page by
`st.switch_page` while the parameter is set. So the parameter seeds the widget here, and follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

T = TypeVar("T", bound=str)


def seed(name: str, choices: Sequence[T], default: T | None = None) -> None:
    """Before the widget with the key `name` is drawn: give it what the address says.

    What is not among the choices gives way to the default, or to the first choice.
    """
    now = st.session_state.get(name, st.query_params.get(name))
    if now not in choices:
        now = default if default is not None else choices[0]
    if st.session_state.get(name) != now:
        st.session_state[name] = now


def follow(name: str, default: str | None = None) -> None:
    """After the widget was drawn: have the address say what it shows, but for the default."""
    now = st.session_state.get(name)
    if now == default or now is None:
        if name in st.query_params:
            del st.query_params[name]
    elif st.query_params.get(name) != now:
        st.query_params[name] = now

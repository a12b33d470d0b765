"""Whether a person asked for the address of this run.

Every request of the browser carries the address that the browser knew when it sent it. Undo changes
the address, and a chart or a part of the page that asked for itself a moment before still names the
former one: obeying it would undo the undo. So an address counts on a visitor's first run, which
follows a link or a reload, and after Back or Forward; on all others it is what we wrote ourselves.
"""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

ASKED, VISITED = "address_asked", "visited"


def note() -> None:
    """At the start of every run of the whole app."""
    if VISITED not in st.session_state or _back_or_forward():
        st.session_state[ASKED] = True
    st.session_state[VISITED] = True


def settle() -> None:
    """At the end: the address has been obeyed. A run that was cut short leaves that to the next."""
    st.session_state[ASKED] = False


def asked() -> bool:
    """Tell whether to obey the address."""
    return bool(st.session_state.get(ASKED))


def _back_or_forward() -> bool:
    context = get_script_run_ctx()
    return bool(getattr(context, "is_history_navigation", False))

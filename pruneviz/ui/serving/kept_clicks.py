"""Keeps a visitor's click that Streamlit would drop.

A click in a part of a page (`st.fragment`) waits until the page has been drawn. Streamlit 1.67
drops it twice: where the whole page is asked for while it waits, as the script that it waits for is
stopped with all that waits; and where the part is no longer known when the click arrives, because
the page has been drawn anew in the meantime and the browser did not know yet. Here the first
goes into the request that follows, and the second has the whole page drawn.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlit.proto.ClientState_pb2 import ClientState
    from streamlit.proto.WidgetStates_pb2 import WidgetStates
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests


def keep_clicks() -> None:
    """Have Streamlit serve every click. Can be called again."""
    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.scriptrunner_utils import script_requests

    request = getattr(AppSession, "request_rerun", None)
    merged = getattr(script_requests, "_coalesce_widget_states", None)
    if request is None or merged is None or hasattr(request, "__wrapped__"):
        return  # another version, or done before

    @wraps(request)
    def with_what_waits(self: AppSession, asked: ClientState | None) -> None:
        if asked is not None:
            asked = _whole_if_gone(self, asked)
            if not asked.fragment_id and self._scriptrunner is not None:
                waits = _waiting(self._scriptrunner._requests)
                if waits is not None:
                    both = merged(waits, asked.widget_states)
                    asked = _copy(asked)
                    asked.widget_states.CopyFrom(both)
        request(self, asked)

    AppSession.request_rerun = with_what_waits  # type: ignore[method-assign,assignment]


def _whole_if_gone(session: AppSession, asked: ClientState) -> ClientState:
    part = asked.fragment_id
    if not part or asked.is_auto_rerun or session.has_fragment(part):
        return asked
    asked = _copy(asked)
    asked.fragment_id = ""
    return asked


def _waiting(requests: ScriptRequests) -> WidgetStates | None:
    with requests._lock:
        waits = requests._state.name == "RERUN"
        return requests._rerun_data.widget_states if waits else None


def _copy(state: ClientState) -> ClientState:
    copied = type(state)()
    copied.CopyFrom(state)
    return copied

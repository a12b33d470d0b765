"""Keeps a page whole when a part of the page before it still asks to be drawn anew.

A part with a timer asks the server at intervals, and names the page that the browser shows. If the
visitor leaves that page just then, Streamlit 1.67 serves the request after the new page has been
drawn, still under the former page's name, and the browser, told of a change of pages, drops all
that it was given of the new one; the next part that is drawn has no place, and the whole page goes
blank (`Cannot set a node at a delta path`). Or it merges the request with the one for the new page,
under the former one's name, and the visitor's click on a link is lost.
"""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlit.runtime.scriptrunner import ScriptRunner
    from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests


def keep_whole() -> None:
    """Have Streamlit draw parts under the name of the page that is shown. Can be called again."""
    from streamlit.runtime.scriptrunner import ScriptRunner
    from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests

    run = getattr(ScriptRunner, "_run_script", None)
    fold = getattr(ScriptRequests, "_request_rerun_locked", None)
    if run is None or fold is None or hasattr(run, "__wrapped__"):
        return  # another version, or done before

    @wraps(run)
    def on_this_page(self: ScriptRunner, rerun_data: RerunData) -> None:
        shown = self._pages_manager.current_page_script_hash
        if shown and rerun_data.fragment_id_queue and rerun_data.page_script_hash != shown:
            rerun_data = replace(rerun_data, page_script_hash=shown, page_name="")
        run(self, rerun_data)

    @wraps(fold)
    def without_timers(self: ScriptRequests, new_data: RerunData) -> bool:
        waiting = self._rerun_data if self._state.name == "RERUN" else None
        if waiting is not None and new_data.fragment_id and new_data.is_auto_rerun:
            whole = not (waiting.fragment_id_queue or waiting.is_fragment_scoped_rerun)
            if whole:
                return True  # all parts will be drawn anyway
        return bool(fold(self, new_data))

    ScriptRunner._run_script = on_this_page  # type: ignore[method-assign]
    ScriptRequests._request_rerun_locked = without_timers  # type: ignore[method-assign]

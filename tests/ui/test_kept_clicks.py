"""A click in a part of a page is served, whatever becomes of the part and of the run before it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests

from pruneviz.ui.serving.kept_clicks import keep_clicks


class Session(AppSession):
    """A visitor whose page is being drawn; knows the part `known`. Runs nothing, notes it."""

    def __init__(self) -> None:
        self.requests = ScriptRequests()
        self._state = AppSessionState.APP_IS_RUNNING
        self._fragment_storage = SimpleNamespace(contains=lambda part: part == "known")
        self._scriptrunner = SimpleNamespace(
            _requests=self.requests,
            request_rerun=self.requests.request_rerun,
            request_stop=self.requests.request_stop,
        )
        self.begun: list[RerunData] = []
        self._create_scriptrunner = self.begun.append

    def __del__(self) -> None:
        """Nothing was opened."""


@pytest.fixture(autouse=True)
def _kept():
    keep_clicks()


def asked(part: str = "", click: str = "", timer: bool = False) -> ClientState:
    state = ClientState(fragment_id=part, is_auto_rerun=timer)
    if click:
        state.widget_states.widgets.add(id=click, trigger_value=True)
    return state


def clicks(run: RerunData) -> list[str]:
    return [one.id for one in run.widget_states.widgets if one.trigger_value]


def test_a_waiting_click_goes_into_the_request_that_stops_what_it_waits_for():
    session = Session()
    session.request_rerun(asked("known", click="submit"))
    assert not session.begun
    session.request_rerun(asked(click="undo"))
    (run,) = session.begun
    assert sorted(clicks(run)) == ["submit", "undo"]
    assert run.fragment_id is None


def test_a_click_in_a_part_that_is_gone_has_the_page_drawn():
    session = Session()
    session.request_rerun(asked("gone", click="submit"))
    (run,) = session.begun
    assert clicks(run) == ["submit"]
    assert run.fragment_id is None


def test_a_timer_of_a_part_that_is_gone_is_dropped():
    session = Session()
    session.request_rerun(asked("gone", timer=True))
    assert not session.begun


def test_calling_it_again_changes_nothing():
    before = AppSession.request_rerun
    keep_clicks()
    assert AppSession.request_rerun is before

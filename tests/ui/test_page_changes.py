"""A part of the former page that asks to be drawn anew does no harm to the page that follows."""

from __future__ import annotations

import pytest
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData, ScriptRequests

from pruneviz.ui.serving.page_changes import keep_whole

TIMER = RerunData(fragment_id="bar", page_script_hash="prune", is_auto_rerun=True)
CLICK = RerunData(fragment_id="bar", page_script_hash="prune")
PAGE = RerunData(page_script_hash="runs")


@pytest.fixture(autouse=True)
def _whole():
    keep_whole()


def asked(*requests: RerunData) -> RerunData:
    """What is run, if all of these are asked for before the script begins."""
    waiting = ScriptRequests()
    assert all(waiting.request_rerun(request) for request in requests)
    return waiting.on_scriptrunner_ready().rerun_data


def test_a_timer_takes_nobody_back_to_the_former_page():
    assert asked(PAGE, TIMER) == PAGE


def test_a_page_that_is_asked_for_after_a_timer_is_drawn():
    run = asked(TIMER, PAGE)
    assert (run.page_script_hash, run.fragment_id_queue) == ("runs", [])


def test_timers_and_clicks_are_served():
    assert asked(TIMER).fragment_id_queue == ["bar"]
    assert asked(CLICK, TIMER).fragment_id_queue == ["bar"]


def test_calling_it_again_changes_nothing():
    before = ScriptRequests._request_rerun_locked
    keep_whole()
    assert ScriptRequests._request_rerun_locked is before

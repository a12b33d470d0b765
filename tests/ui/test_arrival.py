"""Addresses that a request brought along are not obeyed; those of links and of Back are."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.plan import Plan
from pruneviz.session.opening import first_subject
from pruneviz.ui.frame import arrival, plan_link, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound, texts


def pruned(studio: Open) -> tuple[AppTest, str]:
    """A page with 120 filters pruned, and its address."""
    page = sound(studio("prune"))
    move(page, "ratio_all", 30)
    page.run()
    return page, page.session_state["session"].history.current


def test_a_request_with_a_former_address_does_not_undo_the_undo(studio: Open) -> None:
    page, former = pruned(studio)
    page.button(key="undo").click()
    sound(page.run())
    assert "0 of 400" in texts(page)
    page.query_params["at"] = former  # a chart asked for itself before it was told the new one
    sound(page.run())
    assert page.session_state["session"].history.can_redo
    assert "120 of 400" not in texts(page)
    assert "at" not in page.query_params


def test_back_and_forward_lead_to_the_plan_of_then(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, former = pruned(studio)
    page.button(key="undo").click()
    page.run()
    monkeypatch.setattr(arrival, "_back_or_forward", lambda: True)
    page.query_params["at"] = former
    assert "120 of 400" in texts(sound(page.run()))


def test_a_former_address_does_not_end_a_presentation_or_turn_a_lesson_back(studio: Open) -> None:
    page = sound(studio("lessons", lesson="1-pruning-in-ten-minutes.1"))
    page.button(key="present").click()
    sound(page.run())
    page.session_state["lesson_current"] = "1-pruning-in-ten-minutes.3"
    page.query_params.pop("present", None)
    page.query_params["lesson"] = "1-pruning-in-ten-minutes.1"
    sound(page.run())
    assert page.button(key="present").label == "End presentation"
    assert page.query_params["lesson"] in (
        "1-pruning-in-ten-minutes.3",
        ["1-pruning-in-ten-minutes.3"],
    )


def test_a_run_that_was_cut_short_leaves_the_address_to_the_next(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = workbench.bench(first_subject())
    plan = Plan(loaded.graph).drop_units([1, 5, 40])
    query = dict(parse_qsl(plan_link.link_to(loaded, plan).removeprefix("?")))
    with monkeypatch.context() as patch:
        patch.setattr(arrival, "settle", lambda: None)  # not reached, and the link not yet read
        patch.setattr(plan_link, "follow", lambda: None)
        page = studio("prune", **query)
    assert "3 of 400" not in texts(page)
    assert "3 of 400" in texts(sound(page.run()))

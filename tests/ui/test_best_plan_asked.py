"""The best plan that was asked for comes, whatever else is clicked on the page meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import streamlit as st

from pruneviz.session import best_plan as session_best_plan
from pruneviz.session.decisions import exactly, set_ratio
from tests.ui.conftest import Open
from tests.ui.helpers import sound

FOUND = frozenset({1, 2, 3})


def searches(monkeypatch: pytest.MonkeyPatch, interrupted: Any = None) -> list[float]:
    """Have a search find the plan at once, or be interrupted first; tell what was asked for."""
    asked: list[float] = []

    def find(_loaded: Any, decisions: Any, target: float, **_: Any) -> Any:
        asked.append(target)
        if interrupted is not None and len(asked) == 1:
            interrupted()
            st.rerun()  # what a click on another view does to a run that is under way
        return exactly(decisions, FOUND, "found"), None

    monkeypatch.setattr(session_best_plan, "best_plan", find)
    return asked


def test_a_click_on_another_view_does_not_lose_the_search(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search was forgotten without a word once anything else on the page was clicked."""
    page = sound(studio("prune"))
    asked = searches(monkeypatch, interrupted=lambda: None)
    page = sound(page.button(key="budget_go").click().run())
    assert len(asked) == 2, "begun again"
    assert page.session_state["session"].in_hand.plan.dropped == tuple(sorted(FOUND))
    sound(page.run())
    assert len(asked) == 2, "once it has come, it is not looked for again"


def test_another_plan_in_hand_lets_the_search_go(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = sound(studio("prune"))

    def move_a_slider() -> None:
        session = st.session_state["session"]
        session.take(set_ratio(session.decisions, 0.2))

    asked = searches(monkeypatch, interrupted=move_a_slider)
    page = sound(page.button(key="budget_go").click().run())
    assert len(asked) == 1
    assert page.session_state["session"].decisions.ratio == 0.2

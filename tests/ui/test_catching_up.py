"""What a slider says is kept once it rests, however long its plan takes to be measured."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from pruneviz.ui.frame import services
from tests.ui.conftest import TIMEOUT, Open
from tests.ui.helpers import sound


def rests_while_it_is_measured(seconds: float) -> None:
    import time

    from pruneviz.session.decisions import set_ratio
    from pruneviz.ui.frame import plan_bar, state

    session = state.session()
    session.take(set_ratio(session.decisions, 0.3))
    plan_bar._catch_up(time.monotonic() - seconds, True)


def move(studio: Open, seconds: float) -> AppTest:
    before = sound(studio("prune"))
    page = AppTest.from_function(
        rests_while_it_is_measured, args=(seconds,), default_timeout=TIMEOUT
    )
    page.session_state["session"] = before.session_state["session"]
    return sound(page.run())


def test_the_step_has_its_address_before_it_is_measured(studio: Open) -> None:
    """A reload, or a server that was started again, lost it meanwhile: many seconds long."""
    page = move(studio, 1.0)
    now = page.session_state["session"].history.current
    assert page.query_params["at"] in (now, [now])
    assert services.steps().load(now) is not None


def test_a_hand_that_moves_on_leaves_no_address(studio: Open) -> None:
    page = move(studio, 0.0)
    assert "at" not in page.query_params
    assert services.steps().load(page.session_state["session"].history.current) is None

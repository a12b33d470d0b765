"""Controls whose page was left: what the browser still says of them concerns nobody."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def script() -> None:
    import streamlit as st

    from pruneviz.ui.frame import state

    said: list[str] = st.session_state.setdefault("said", [])
    state.enter("prune")
    first = state.control("ratio", 20)
    move = state.while_here(said.append)
    move("on its page")
    state.enter("prune")  # drawn again: the same visit
    move("on its page, drawn again")
    state.enter("runs")
    move("while another page is on its way")
    state.enter("prune")
    move("from before the page was left")
    st.session_state.keys_of_control = (first.key, state.control("ratio", 20).key)


def test_a_move_from_a_page_that_was_left_is_ignored() -> None:
    app = AppTest.from_function(script).run()
    assert not app.exception
    assert app.session_state.said == ["on its page", "on its page, drawn again"]


def test_a_control_drawn_on_a_later_visit_is_a_new_one() -> None:
    before, after = AppTest.from_function(script).run().session_state.keys_of_control
    assert before != after

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


def _gone() -> None:
    from functools import partial

    import streamlit as st

    from pruneviz.ui.choose import page as choose
    from pruneviz.ui.explain import one_filter, one_image, picker
    from pruneviz.ui.prune import page as prune
    from pruneviz.ui.rank import page as rank
    from pruneviz.ui.ribbon import ribbon

    st.session_state.update(clicks=0, picks=0)
    for callback in (
        picker._drawn,
        one_image._click,
        one_filter._select,
        partial(ribbon._to_layer, "a ribbon that is gone"),
        partial(ribbon._fold, "a ribbon that is gone"),
        rank._into_layer,
        rank._pick,
        choose._take_up,
        prune._load_point,
    ):
        callback()
    st.caption("all answered")


def test_what_the_browser_still_tells_of_a_part_that_is_gone_breaks_nothing() -> None:
    page = AppTest.from_function(_gone, default_timeout=120).run()
    assert not page.exception, [e.message for e in page.exception]
    assert page.caption[0].value == "all answered"

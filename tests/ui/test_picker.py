"""The lists on Choose stay the same ones while another network is loaded."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from pruneviz.session.decisions import Subject
from tests.ui.conftest import Open
from tests.ui.helpers import sound


def identities(page: AppTest) -> list[str]:
    return [*(box.id for box in page.selectbox[:3]), page.button(key="choose_load").id]


def test_loading_leaves_the_lists_and_the_button_what_they_are(studio: Open) -> None:
    """The browser showed two lists of networks and two buttons until the page was drawn."""
    page = sound(studio("choose"))
    page = sound(page.selectbox(key="choose_network").set_value("mobilenet_v2").run())
    before = identities(page)
    page = sound(page.button(key="choose_load").click().run())
    assert page.session_state["session"].subject.model == "mobilenet_v2"
    assert page.button(key="choose_load").disabled, "it is loaded"
    assert identities(page) == before


def test_the_lists_follow_what_is_loaded_from_elsewhere(studio: Open) -> None:
    page = sound(studio("choose"))
    page.session_state["session"].choose(Subject("mobilenet_v2", "digits", None, "digits"))
    page = sound(page.run())
    assert [box.value for box in page.selectbox[:3]] == ["mobilenet_v2", "digits", "digits"]


def _page_that_takes_long() -> None:
    import streamlit as st

    from pruneviz.ui.frame import navigation

    navigation.frame("Slow", st.stop if "wait" in st.session_state else lambda: None)


def test_the_bar_never_shows_the_former_networks_numbers(studio: Open) -> None:
    """ResNet-50's page took a minute to make; "0 of 400 filters" stood below it all the time."""

    def foot() -> str:
        return "".join(str(part.proto.body) for part in page.get("html"))

    sound(studio("choose"))
    page = sound(AppTest.from_function(_page_that_takes_long, default_timeout=120).run())
    assert "display: none" not in foot(), "the first network is no change"
    page.session_state["session"].choose(Subject("mobilenet_v2", "digits", None, "digits"))
    page.session_state["wait"] = True
    page = sound(page.run())
    assert "Loading mobilenet_v2 (digits) on digits" in foot()
    assert ".st-key-planbar { display: none }" in foot(), "what stood there is not shown"
    del page.session_state["wait"]
    page = sound(page.run())
    assert "display: none" not in foot()
    assert "<b>0 of " in foot()

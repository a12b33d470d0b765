"""The lists on Choose stay the same ones while another network is loaded."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from PIL import Image
from streamlit.testing.v1 import AppTest

from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services
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


def zipped(images: int) -> bytes:
    """Two classes of so many images each."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for index in range(2 * images):
            picture = io.BytesIO()
            Image.new("RGB", (32, 32), (index, 90 * (index % 2), 0)).save(picture, "PNG")
            file.writestr(f"{'ab'[index % 2]}/{index}.png", picture.getvalue())
    return content.getvalue()


def test_another_path_can_be_named_after_an_upload_was_loaded(studio: Open, tmp_path: Path) -> None:
    """The upload went before the path: what was typed did nothing, and Load stayed greyed out."""
    page = sound(studio("choose"))
    kept = services.uploads().keep("mine.zip", zipped(20))
    other = tmp_path / "other.zip"
    other.write_bytes(zipped(25))
    page.session_state["upload_zip"] = (1, str(kept))
    page = sound(page.selectbox(key="choose_data").set_value("your own images …").run())
    page = sound(page.button(key="choose_load").click().run())
    assert dict(page.session_state["session"].subject.options)["root"] == str(kept)
    path = next(t for t in page.text_input if t.label == "Folder or zip on this machine")
    assert path.value == str(kept)
    page = sound(path.set_value(str(other)).run())
    assert not page.button(key="choose_load").disabled
    page = sound(page.button(key="choose_load").click().run())
    assert dict(page.session_state["session"].subject.options)["root"] == str(other)


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

"""The page Help: every chapter is read there, and every page leads to its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz import docs
from pruneviz.ui.frame import navigation
from pruneviz.ui.frame.theme import STYLE
from pruneviz.ui.help.page import linked
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", docs.NAMES)
def test_a_chapter_is_shown(name: str) -> None:
    def page() -> None:
        from pruneviz.ui.help.page import show

        show()

    shown = AppTest.from_function(page)
    shown.query_params["chapter"] = name
    sound(shown.run(timeout=60))
    assert shown.header[0].value == docs.chapter(name).title
    words = linked(docs.chapter(name).text).split()
    assert words[-1] in texts(shown).split()


def test_the_first_chapter_comes_first_and_another_can_be_chosen(studio: Open) -> None:
    page = sound(studio("help"))
    assert page.header[0].value == docs.chapters()[0].title
    sound(page.radio(key="chapter").set_value("glossary").run())
    assert page.header[0].value == "Glossary"


def test_a_heading_is_larger_than_those_below_it() -> None:
    """A chapter's title was smaller than its sections'."""
    found = re.findall(r"^(h\d)\b[^{]*{ font-size: ([\d.]+)rem", STYLE, re.MULTILINE)
    assert [heading for heading, _ in found] == ["h1", "h2", "h3", "h4", "h5"]
    sizes = [float(size) for _, size in found]
    assert sizes == sorted(set(sizes), reverse=True)


def test_sections_are_one_level_below_their_chapter(studio: Open) -> None:
    page = sound(studio("help"))
    levels = {m.value.split(" ")[0] for m in page.markdown if m.value.startswith("#")}
    assert levels <= {"###"}
    assert "\n### Rank" in texts(page)


def test_links_between_chapters_stay_on_the_page() -> None:
    assert linked("[a](lab.md) [b](studio.md#rank) [c](x.png)") == (
        "[a](help?chapter=lab) [b](help?chapter=studio) [c](x.png)"
    )


def test_every_page_has_a_chapter_that_exists() -> None:
    pages = {name for name, _, _ in navigation.PAGES}
    assert set(navigation.CHAPTERS) <= pages
    assert set(navigation.CHAPTERS.values()) <= set(docs.NAMES)
    headings = {h.casefold() for h in docs.chapter("studio").text.split("## ")}
    titles = {title for name, title, _ in navigation.PAGES if name != "help"}
    told = {h.partition("\n")[0] for h in headings}
    assert {t.casefold() for t in titles} <= told, "docs/studio.md has a section for each page"

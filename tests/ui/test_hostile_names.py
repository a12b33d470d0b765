"""Names that hold Markdown, links and HTML are shown as they are, on every page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.session.decisions import Decisions
from pruneviz.session.session import Session
from pruneviz.ui.frame import services
from pruneviz.ui.frame.text import harmless, plain
from tests.ui import test_every_control as walk
from tests.ui.conftest import Open
from tests.ui.populated import populate

EVIL = "[click](http://evil.example) <a href='http://evil.example'>x</a> :red[y] `z` **b**"
MARKDOWN = ("markdown", "caption", "info", "warning", "error", "success", "toast", "button")
"""What Streamlit reads as Markdown: bodies, and the labels of buttons."""


@pytest.mark.parametrize("name", walk.VIEWS)
def test_every_text_of_every_page_shows_it_as_it_is(studio: Open, name: str) -> None:
    studio("runs")
    populate()
    service = services.jobs()
    for run in service.list():
        service.rename(run.id, EVIL)
    for view in walk.VIEWS[name]:
        page = AppTest.from_function(walk.draw, args=(name,), default_timeout=walk.TIMEOUT)
        page.session_state["session"] = Session(services.workbenches())
        page.session_state["session"].take((Decisions(dropped=frozenset({1})), EVIL))
        for key, value in view.items():
            page.session_state[key] = value
        page.query_params["at"] = EVIL
        page.run()
        assert not page.exception
        for text in markdown_of(page):
            assert "[click](" not in text.replace("\\[", ""), text
            assert ":red[y]" not in text, text
            assert "`z`" not in text.replace("\\`", ""), text
        for spec in charts_of(page):
            assert "<a " not in spec
            assert "\\u003ca " not in spec


def markdown_of(page: AppTest) -> list[str]:
    found: list[str] = []
    for kind in MARKDOWN:
        for element in getattr(page, kind):
            found += [str(getattr(element, "value", "")), str(getattr(element, "label", ""))]
            found.append(str(getattr(element, "help", "") or ""))
    return found


def charts_of(page: AppTest) -> list[str]:
    return [chart.proto.spec for chart in page.get("plotly_chart")]


def test_markdown_is_shown_as_it_is() -> None:
    assert plain("a [b](c) *d* `e` <f>") == r"a \[b\](c) \*d\* \`e\` \<f\>"
    assert plain("layer1.0.conv1 30 % over_all") == "layer1.0.conv1 30 % over_all"


def test_figures_keep_their_own_tags_and_lose_links() -> None:
    figure: dict[str, Any] = {"data": [{"text": ["<b>x</b><br>1", EVIL], "y": (1.0, 2.0)}]}
    found = harmless(figure)
    assert found["data"][0]["text"][0] == "<b>x</b><br>1"
    assert "<a" not in json.dumps(found)
    assert found["data"][0]["y"] == (1.0, 2.0)

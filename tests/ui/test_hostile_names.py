"""Names that hold Markdown, links and HTML are shown as they are, on every page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.session import Session
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.frame.text import harmless, plain
from tests.ui import test_every_control as walk
from tests.ui.conftest import Open
from tests.ui.populated import populate

EVIL = "[click](http://evil.example) <a href='http://evil.example'>x</a> :red[y] `z` **b**"
BODIES = ("markdown", "caption", "info", "warning", "error", "success", "toast")
CONTROLS = ("button", "slider", "selectbox", "multiselect", "text_input", "number_input",
            "checkbox", "radio", "toggle", "metric", "tabs", "expander", "status")  # fmt: skip
"""Of these Streamlit reads the labels and helps as Markdown."""


@pytest.mark.parametrize("name", walk.VIEWS)
def test_every_text_of_every_page_shows_it_as_it_is(
    studio: Open, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio("runs")
    populate()
    service = services.jobs()
    evil_classes(monkeypatch)
    for kind in ("fine_tune", "race", "lab"):
        under_way(kind)
    for run in service.list():
        service.rename(run.id, EVIL)
    for view in walk.VIEWS[name]:
        page = AppTest.from_function(walk.draw, args=(name,), default_timeout=walk.TIMEOUT)
        page.session_state["session"] = Session(services.workbenches())
        page.session_state["session"].take((Decisions(dropped=frozenset({1})), EVIL))
        for key, value in view.items():
            page.session_state[key] = value
        page.session_state["refusal"] = f"Something in {EVIL} was refused."
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


def evil_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the classes of the data such names; what was measured of them goes."""
    loaded = workbench.bench(Subject())
    names = tuple(f"{EVIL} {number}" for number in range(len(loaded.data.classes)))
    monkeypatch.setattr(loaded, "data", replace(loaded.data, classes=names))


def under_way(kind: str) -> None:
    """Have a run under way whose message quotes a file, such as the member of a zip."""
    of = workbench.bench(Subject())
    store = services.jobs().store
    spec = RunSpec(kind, of.source, {"name": "digits", "options": {}})
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    mine.beat([], message=f"Reading {EVIL}.png")


def markdown_of(page: AppTest) -> list[str]:
    found = [str(bar.proto.text) for bar in page.get("progress")]
    found += [caption for shown in page.get("imgs") for caption in captions(shown)]
    found += [str(element.value) for kind in BODIES for element in getattr(page, kind)]
    for kind in CONTROLS:
        for element in getattr(page, kind):
            found.append(str(getattr(element, "label", "")))
            found.append(str(getattr(element, "help", "") or ""))
    return found


def captions(shown: Any) -> list[str]:
    return [str(image.caption) for image in shown.proto.imgs]


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

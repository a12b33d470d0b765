"""Names that hold Markdown, links and HTML are shown as they are, on every page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.catalog import own
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
QUICK = ("choose", "lab")
PAGES = [pytest.param(n, marks=() if n in QUICK else pytest.mark.sweep) for n in walk.VIEWS]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
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
        service.tag(run.id, EVIL)
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
            assert is_plain(text), text
        for spec in charts_of(page):
            assert "<a " not in spec
            assert "\\u003ca " not in spec


NAME = EVIL.replace(".", "_")
"""A module may be called anything but for dots."""


CODE = f"""
import torch
from torch import nn

NAME = {NAME!r}

class Evil(nn.Module):
    def __init__(self):
        super().__init__()
        for part in range(3):
            self.add_module(f"{{NAME}} {{part}}", nn.Conv2d(3 if part == 0 else 8, 8, 3, padding=1))
        self.add_module(NAME, nn.Linear(8, 10))

    def forward(self, x):
        first, second, third = (getattr(self, f"{{NAME}} {{part}}") for part in range(3))
        x = torch.relu(first(x[..., ::4, ::4]))
        x = x + third(torch.relu(second(x)))  # what is added is tied
        return getattr(self, NAME)(x.mean((2, 3)))

Evil.__name__ = Evil.__qualname__ = NAME

def make():
    torch.manual_seed(0)
    return Evil().eval()
"""


@pytest.fixture
def evil_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A small network of somebody's own, every module of which has such a name."""
    file = tmp_path / "code" / "evil.py"
    file.parent.mkdir()
    file.write_text(CODE)
    network = own.from_code(f"{file}:make")
    environment: dict[str, str] = {}
    own.hand_over(network, environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Subject(network.model, network.weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_names_in_somebodys_own_network_are_shown_as_they_are(
    studio: Open, evil_network: Subject, name: str
) -> None:
    studio("runs")
    loaded = workbench.bench(evil_network)
    assert any(len(group.layers) > 1 for group in loaded.graph.groups)
    populate(loaded, f"{NAME} 0")
    for view in walk.VIEWS[name]:
        page = AppTest.from_function(walk.draw, args=(name,), default_timeout=walk.TIMEOUT)
        session = page.session_state["session"] = Session(services.workbenches(), loaded.subject)
        session.take((Decisions(dropped=frozenset({1}), criterion="l1", ratio=0.3), "l1 30 %"))
        for key, value in view.items():
            page.session_state[key] = value
        if name == "sensitivity":
            session.take((replace(session.decisions, criterion="fisher"), "fisher"))
        page.run()
        walk.fine(page)
        for text in markdown_of(page):
            assert is_plain(text), text
        for spec in charts_of(page):
            assert "<a " not in spec
            assert "\\u003ca " not in spec


def is_plain(text: str) -> bool:
    """Whether nothing of such a name is read as Markdown."""
    bare = text.replace("\\[", "").replace("\\`", "").replace("\\*", "").replace("\\<", "")
    return not any(part in bare for part in ("[click](", ":red[y]", "`z`", "**b**", "<a href"))


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

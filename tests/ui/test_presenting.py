"""Presentation mode: by its button (key P) and by a link, in the page's type and its charts."""

from __future__ import annotations

import plotly.graph_objects as go

from pruneviz.figures import style
from pruneviz.ui.frame.presenting import SMALLEST, STYLE, enlarged
from tests.ui.conftest import Open
from tests.ui.helpers import sound


def styled(page: object) -> bool:
    return any(STYLE.strip()[:60] in h.proto.body for h in page.get("html"))  # type: ignore[attr-defined]


def test_the_button_begins_and_ends_it_and_the_address_says_so(studio: Open) -> None:
    page = sound(studio("prune"))
    assert not styled(page)
    page.button(key="present").click()
    sound(page.run())
    assert styled(page)
    assert page.query_params["present"] in ("1", ["1"])
    page.button(key="present").click()
    sound(page.run())
    assert not styled(page)
    assert "present" not in page.query_params


def test_a_link_opens_it(studio: Open) -> None:
    page = sound(studio("lessons", present="1"))
    assert styled(page)
    assert page.button(key="present").label == "End presentation"


def test_no_label_of_a_chart_is_small() -> None:
    figure = style.new_figure(False, 200)
    figure.add_scatter(x=[1], y=[2], textfont={"size": 9})
    figure.add_annotation(text="here", font={"size": 10})
    figure.update_xaxes(tickfont={"size": 8}, title={"text": "x", "font": {"size": 30}})
    drawn = go.Figure(enlarged(figure.to_plotly_json()))
    assert drawn.layout.font.size >= SMALLEST
    assert drawn.layout.xaxis.tickfont.size == SMALLEST
    assert drawn.layout.xaxis.title.font.size == 30
    assert drawn.layout.annotations[0].font.size == SMALLEST
    assert drawn.data[0].textfont.size == SMALLEST
    assert drawn.layout.height == 250

"""A plan in an address: the same plan in another home, and a sentence for what does not fit."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.plan import Plan
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import plan_link, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import find, sound


@pytest.fixture(scope="module")
def query() -> dict[str, str]:
    loaded = workbench.bench(Subject("vgg16", "digits"))
    plan = Plan(loaded.graph).drop_units([1, 5, 40])
    return dict(parse_qsl(plan_link.link_to(loaded, plan).removeprefix("?")))


def plan_of(page: AppTest) -> Plan:
    plan: Plan = page.session_state["session"].in_hand.plan
    return plan


@pytest.mark.slow
def test_it_loads_the_network_and_the_plan(studio: Open, query: dict[str, str]) -> None:
    page = sound(studio("prune", **query))
    session = page.session_state["session"]
    assert session.subject == Subject("vgg16", "digits")
    assert plan_of(page).dropped == (1, 5, 40)
    assert session.history.step.label == "plan from a link"
    assert "plan" not in page.query_params
    assert page.query_params["at"] == session.history.current
    assert find(page, "ratio_all").value == 0
    assert len(plan_link.link_to(session.workbench, plan_of(page))) <= 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"w": "00000000"}, "different weights of vgg16"),
        ({"model": "resnet20"}, "made for another network"),
        ({"weights": "/etc/passwd"}, "from the catalogue"),
        ({"weights": "run:1234"}, "from the catalogue"),
        ({"model": "hf/somebody/something"}, "from the catalogue"),
        ({"plan": "1AAAA"}, "link"),
    ],
)
def test_what_does_not_fit_is_a_sentence_and_changes_nothing(
    studio: Open, query: dict[str, str], change: dict[str, str], says: str
) -> None:
    page = studio("prune", **{**query, **change})
    assert not page.exception
    assert says in "".join(t.value for t in page.toast)
    assert page.session_state["session"].subject == Subject()
    assert not plan_of(page).dropped


@pytest.mark.slow
def test_export_offers_it(studio: Open, query: dict[str, str]) -> None:
    page = studio("prune", **query)
    page = sound(studio("export", like=page))
    links = [c.value for c in page.code if "plan=" in c.value]
    assert len(links) == 1
    assert dict(parse_qsl(links[0].partition("?")[2])) == query

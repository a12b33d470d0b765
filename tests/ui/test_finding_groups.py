"""Many sliders: some are found, and set at once."""

from __future__ import annotations

from pruneviz.session.decisions import Decisions, Subject
from tests.ui.conftest import Open
from tests.ui.helpers import sound


def sliders(page: object) -> int:
    return sum(s.label.startswith("**") for s in page.slider)  # type: ignore[attr-defined]


def test_some_of_many_groups_are_found_and_set_at_once(studio: Open) -> None:
    page = sound(studio("help"))
    session = page.session_state["session"]
    session.choose(Subject("mobilenet_v2", "digits"))
    session.take((Decisions(criterion="l1"), "criterion l1"))  # needs no images
    page = sound(studio("prune", like=page))
    assert sliders(page) == 24
    page.text_input(key="find").set_value("stream").run()
    few = sliders(sound(page))
    assert 0 < few < 24
    page.button(key="find_set").click().run()
    sound(page)
    assert len(session.decisions.ratios) == few
    assert set(dict(session.decisions.ratios).values()) == {0.3}
    assert session.history.step.label == f"'stream': {few} groups at 30%"

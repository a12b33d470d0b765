"""A lesson beside a page: predict, do, see, go on; a link resumes at a step."""

from __future__ import annotations

import pytest

from pruneviz.session.decisions import Decisions
from pruneviz.ui.frame import services
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts

NAME = "3-why-coupled-channels-go-together"


@pytest.mark.slow
def test_a_prediction_comes_before_the_revelation(studio: Open) -> None:
    page = sound(studio("rank", lesson=f"{NAME}.2"))
    assert "step 2 of 6" in texts(page)
    assert "All ten layers lost a filter" not in texts(page)
    assert page.button(key="lesson_predict").disabled
    page.radio(key=f"lesson_ask_{NAME}_1").set_value(1).run()
    page.button(key="lesson_predict").click().run()
    assert "prune one filter with the button" in texts(page)
    assert page.button(key="lesson_next").disabled
    page.button(key="decide").click().run()
    sound(page.run())
    assert "All ten layers lost a filter" in texts(page)
    assert "The right answer: 10." in texts(page)
    page.button(key="lesson_next").click().run()
    sound(page.run())
    assert "step 3 of 6" in texts(page)
    assert page.query_params["lesson"] == f"{NAME}.3"


def test_a_choice_that_the_browser_forgets_is_kept(studio: Open) -> None:
    """As happens where it is made while the next page arrives."""
    page = sound(studio("rank", lesson=f"{NAME}.2"))
    page.radio(key=f"lesson_ask_{NAME}_1").set_value(1).run()
    page.radio(key=f"lesson_ask_{NAME}_1").set_value(None).run()
    assert not page.button(key="lesson_predict").disabled
    page.button(key="lesson_predict").click().run()
    assert page.session_state["lesson_answers"] == {(NAME, 1): 1}


def test_a_question_is_asked_on_its_page_and_nobody_is_held(studio: Open) -> None:
    page = sound(studio("prune", lesson=f"{NAME}.2"))
    assert page.button(key="lesson_page").label == "Go to Rank"
    assert not [one for one in page.radio if one.key.startswith("lesson_ask")]
    assert page.button(key="lesson_next").disabled
    page.button(key="lesson_back").click().run()
    sound(page.run())
    assert "step 1 of 6" in texts(page)
    page.button(key="lesson_end").click().run()
    assert "step 1 of 6" not in texts(sound(page.run()))


def test_no_lesson_no_panel_and_an_unknown_one_is_left_out(studio: Open) -> None:
    assert "step 1" not in texts(sound(studio("prune")))
    page = sound(studio("prune", lesson="magic.1"))
    assert "step 1" not in texts(page)
    assert "lesson" not in page.query_params


def test_lessons_are_offered_and_begin_on_their_page(studio: Open) -> None:
    page = sound(studio("lessons"))
    assert page.subheader[0].value == "Pruning in ten minutes"
    page.button(key=f"begin_{NAME}").click().run()
    assert page.session_state["lesson_current"] == f"{NAME}.1"
    assert page.session_state["going_to"] == "prune"


def test_facts_are_of_the_plan(studio: Open) -> None:
    page = sound(studio("prune", lesson="1-pruning-in-ten-minutes.5"))
    session = page.session_state["session"]
    session.take((Decisions(ratio=0.5), "half"))
    page.run()
    sound(page.run())
    assert "The plan prunes 50.0 % of the filters" in texts(page)


@pytest.mark.slow
def test_the_class_answers_on_the_teachers_screen(studio: Open) -> None:
    """Two visitors predict; the teacher sees how many, and the bars when they are revealed."""
    services.votes().clear(NAME)
    for choice in (0, 2):
        page = sound(studio("rank", lesson=f"{NAME}.2"))
        page.radio(key=f"lesson_ask_{NAME}_1").set_value(choice).run()
        page.button(key="lesson_predict").click().run()
    teacher = sound(studio("lessons"))
    assert "2 answers" in texts(teacher)
    assert services.votes().counts(NAME, 1, 3) == (1, 0, 1)
    assert not teacher.get("plotly_chart")
    teacher.button(key=f"reveal_{NAME}_1").click()
    sound(teacher.run())
    assert len(teacher.get("plotly_chart")) == 1
    teacher.button(key=f"clear_votes_{NAME}").click()
    sound(teacher.run())
    assert "2 answers" not in texts(teacher)

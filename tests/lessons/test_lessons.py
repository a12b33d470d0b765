"""Lessons are data: every file is read, and what is wrong in one is said."""

from __future__ import annotations

import re

import pytest

from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.lessons import FACTS, lesson, names, parse, said
from pruneviz.ui.frame.navigation import PAGES

TEXT = """# A title

What it is about.

## First

Some text,
on two lines.

- page: prune
- ask: Which?
- ( ) This
- (x) That
- do: Prune a third
  of all.
- check: pruned >= 0.3, page == prune
- reveal: It was {cut}, at {pruned}.
"""


def test_a_lesson_is_read() -> None:
    found = parse("one", TEXT)
    (step,) = found.steps
    assert (found.title, found.summary) == ("A title", "What it is about.")
    assert step.text == "Some text,\non two lines."
    assert (step.choices, step.right) == (("This", "That"), 1)
    assert step.do == "Prune a third of all."
    assert not step.done({"pruned": 0.2, "page": "prune"})
    assert not step.done({"pruned": None, "page": "prune"})
    assert step.done({"pruned": 0.3, "page": "prune"})
    assert step.revealed({"pruned": 0.3, "cut": None}) == "It was …, at 30.0 %."


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# A title", "A title", "must begin with"),
        ("- (x) That\n", "", "no two choices"),
        ("pruned >= 0.3,", "pruned above 0.3,", "is no condition like"),
        ("- do: Prune a third\n  of all.\n", "", "both 'do:' and 'check:'"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        parse("one", TEXT.replace(old, new))


def test_an_unknown_fact_is_refused_with_the_choices() -> None:
    with pytest.raises(UnknownNameError, match="pruned"):
        parse("one", TEXT.replace("pruned >=", "magic >="))


def test_an_unknown_lesson_is_refused_with_the_choices() -> None:
    with pytest.raises(UnknownNameError, match="1-pruning-in-ten-minutes"):
        lesson("magic")


@pytest.mark.parametrize("name", names())
def test_every_lesson_is_whole(name: str) -> None:
    found = lesson(name)
    pages = {page for page, _, _ in PAGES}
    assert 5 <= len(found.steps) <= 8
    assert found.summary
    for step in found.steps:
        assert step.page in pages, step.title
        assert step.do, f"'{step.title}' has nothing to do"
        assert set(re.findall(r"\{(\w+)\}", step.reveal)) <= set(FACTS)
    assert any(step.ask for step in found.steps)


def test_numbers_that_count_are_whole() -> None:
    assert said("runs", 2.0) == "2"
    assert said("macs", 0.512) == "51.2 %"

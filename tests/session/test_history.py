"""Decisions, undo, redo, branches, and steps that survive a restart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneviz.errors import InvalidValueError
from pruneviz.session import decisions as w
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.history import History


def begun() -> History:
    return History.begin(Subject())


def labels(history: History) -> list[str]:
    return [step.label for step in history.line()]


def test_steps_are_named_by_what_they_did() -> None:
    h = begun()
    h = h.push(w.set_ratio(h.decisions, 0.4))
    h = h.push(w.drop_by_hand(h.decisions, frozenset({3}), "dropped filter 3 of conv1"))
    h = h.push(w.set_scope(h.decisions, "group"))
    h = h.push(w.set_ratio(h.decisions, 0.125))
    assert labels(h) == [
        "nothing pruned",
        "fisher 40 % over all groups",
        "dropped filter 3 of conv1",
        "ratio of each group",
        "fisher 12.5 % of each group",
    ]


def test_a_step_that_changes_nothing_is_none() -> None:
    h = begun()
    assert h.push(w.set_ratio(h.decisions, 0.0)) is h


def test_undo_redo_and_branch() -> None:
    h = begun()
    a = h.push(w.set_ratio(h.decisions, 0.3))
    b = a.push(w.set_ratio(a.decisions, 0.5))
    back = b.undo()
    assert back.decisions == a.decisions
    assert back.redo().current == b.current
    c = back.push(w.set_ratio(back.decisions, 0.6))
    assert not c.can_redo
    assert len(c.steps) == 4  # the branch that was left is still there
    assert c.undo().redo().current == c.current
    again = c.go(b.current)
    assert again.decisions.ratio == 0.5
    assert again.undo().redo().current == b.current  # redo follows the branch one came from
    assert [(d, s.decisions.ratio) for d, s in c.tree()] == [(0, 0.0), (0, 0.3), (0, 0.5), (1, 0.6)]


def test_ends_of_history_stay() -> None:
    h = begun()
    assert h.undo() is h
    assert h.redo() == h
    with pytest.raises(InvalidValueError, match="no step 'abc'"):
        h.go("abc")


def test_hand_picks_survive_sliders_and_can_be_turned() -> None:
    d = Decisions()
    d, _ = w.drop_by_hand(d, frozenset({1, 2}), "")
    d, _ = w.set_ratio(d, 0.5)
    d, _ = w.keep_by_hand(d, frozenset({2}), "")
    assert (d.dropped, d.kept) == (frozenset({1}), frozenset({2}))
    d, _ = w.drop_by_hand(d, frozenset({2}), "")
    assert (d.dropped, d.kept) == (frozenset({1, 2}), frozenset())


def test_global_slider_leaves_the_group_sliders_that_were_set() -> None:
    d, label = w.set_group_ratio(Decisions(), "conv1", 0.25)
    assert label == "conv1 25 %"
    d, _ = w.set_ratio(d, 0.1)
    assert (d.ratio, d.ratios) == (0.1, (("conv1", 0.25),))
    assert w.release(d, "conv1")[0].ratios == ()


@pytest.mark.parametrize(
    "wrong", [{"ratio": 1.5}, {"ratios": (("a", -0.1),)}, {"scope": "x"}, {"multiple": 0}]
)
def test_decisions_refuse_nonsense(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        Decisions(**wrong)  # type: ignore[arg-type]


decisions = st.builds(
    Decisions,
    criterion=st.sampled_from(["l1", "taylor"]),
    scope=st.sampled_from(["global", "group"]),
    ratio=st.floats(0, 1),
    ratios=st.dictionaries(st.text("ab.1", max_size=5), st.floats(0, 1), max_size=3).map(
        lambda d: tuple(sorted(d.items()))
    ),
    dropped=st.frozensets(st.integers(0, 99)),
    kept=st.frozensets(st.integers(100, 199)),
    protected=st.frozensets(st.text("ab.1", max_size=5), max_size=3),
    multiple=st.integers(1, 16),
)


@given(decisions)
def test_decisions_come_back_from_json(d: Decisions) -> None:
    assert Decisions.from_dict(json.loads(json.dumps(d.to_dict()))) == d


def test_subject_comes_back_and_is_named() -> None:
    s = Subject("resnet20", "/x/mine.pt", None, "folder", (("root", "/y"),))
    assert Subject.from_dict(json.loads(json.dumps(s.to_dict()))) == s
    assert s.title == "resnet20 (mine.pt) on folder"
    assert s.digest != Subject().digest


def test_a_step_that_was_passed_through_gives_way_unless_others_start_there() -> None:
    start = History.begin(Subject())
    passed = start.push(w.set_ratio(start.decisions, 0.1))
    there = passed.amend(w.set_ratio(passed.decisions, 0.2))
    assert [s.label for s in there.line()] == ["nothing pruned", "fisher 20 % over all groups"]
    assert len(there.steps) == 2
    assert there.undo().redo() == there
    back = there.amend(w.set_ratio(there.decisions, 0.0))
    assert (back.steps, back.current) == (start.steps, start.current)
    assert not back.can_redo
    on = there.push(w.set_ratio(there.decisions, 0.3)).undo()
    assert len(on.amend(w.set_ratio(on.decisions, 0.4)).steps) == 4
    assert start.amend(w.set_ratio(start.decisions, 0.4)).can_undo


def test_the_same_steps_elsewhere_undo_and_redo() -> None:
    here, there = Subject(weights="/a/mine.pt"), Subject(weights="/b/mine.pt")
    h = History.begin(here)
    for ratio in (0.1, 0.2):
        h = h.push(w.set_ratio(h.decisions, ratio))
    h = h.undo().push(w.set_ratio(h.decisions, 0.4)).undo()
    moved = h.about(there)
    assert moved.subject == there
    assert [(d, s.label) for d, s in moved.tree()] == [(d, s.label) for d, s in h.tree()]
    assert labels(moved) == labels(h)
    assert labels(moved.redo()) == labels(h.redo())
    assert labels(moved.undo()) == labels(h.undo())
    assert moved.about(here) == h
    assert h.about(here) == h

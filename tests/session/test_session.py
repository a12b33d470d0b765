"""A session from the first slider to the last undo, without a screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pruneviz.cost import cost
from pruneviz.errors import PlanError
from pruneviz.plan import Plan
from pruneviz.session import decisions as d
from pruneviz.session import workbench as workbench_module
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.session import PASSING_SECONDS, Session
from pruneviz.session.workbench import Workbench
from pruneviz.session.workbenches import Workbenches
from tests.session.conftest import images, network


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def session(workbenches: Workbenches, subject: Subject) -> Session:
    return Session(workbenches, subject, clock=Clock())


def test_a_moved_slider_makes_one_plan_and_one_cost(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    for name in ("plan_of", "cost"):
        real = getattr(workbench_module, name)
        monkeypatch.setattr(
            workbench_module, name, lambda *a, _n=name, _r=real: (made.append(_n), _r(*a))[1]
        )
    session.take(d.set_ratio(session.decisions, 0.5), slider="all")
    for _ in range(3):  # the bar, the slider's row, a chart
        plan, costs = session.in_hand
    assert made == ["plan_of", "cost"]
    assert len(plan) == 12
    assert costs == cost(plan.graph, plan)
    session.undo()
    session.redo()
    assert session.in_hand.plan is plan, "a visited plan is not made again"
    assert made == ["plan_of", "cost"]


def test_what_would_break_the_network_is_refused_and_nothing_changes(session: Session) -> None:
    session.take(d.set_ratio(session.decisions, 0.25))
    before = session.history
    with pytest.raises(PlanError, match="at least one must stay"):
        session.take(d.drop_by_hand(session.decisions, frozenset(range(8)), "all of the first"))
    assert session.history is before
    assert len(session.in_hand.plan) == 6


def test_undo_goes_back_to_the_very_plan_and_a_new_step_branches(session: Session) -> None:
    start = session.history.current
    session.take(d.set_ratio(session.decisions, 0.25))
    session.take(d.set_group_ratio(session.decisions, "2", 0.5))
    session.go(start)
    assert session.in_hand.plan.dropped == ()
    session.take(d.drop_by_hand(session.decisions, frozenset({3}), "dropped filter 3"))
    assert [depth for depth, _ in session.history.tree()] == [0, 0, 0, 1]
    assert session.in_hand.plan == Plan(session.workbench.graph).drop("0", 3)


def test_what_a_slider_passes_through_is_no_step(
    workbenches: Workbenches, subject: Subject
) -> None:
    clock = Clock()
    session = Session(workbenches, subject, clock=clock)
    for ratio in (0.1, 0.2, 0.3):
        session.take(d.set_ratio(session.decisions, ratio), slider="all")
        clock.now += PASSING_SECONDS / 2
    session.take(d.set_group_ratio(session.decisions, "0", 0.5), slider="0")
    clock.now += PASSING_SECONDS
    session.take(d.set_group_ratio(session.decisions, "0", 0.25), slider="0")
    assert [step.decisions.ratio for step in session.history.line()] == [0.0, 0.3, 0.3, 0.3]


def test_a_step_without_a_slider_is_never_passed_through(session: Session) -> None:
    session.take(d.set_ratio(session.decisions, 0.1), slider="all")
    session.take(d.set_scope(session.decisions, "group"))
    session.take(d.set_ratio(session.decisions, 0.2), slider="all")
    assert len(session.history.line()) == 4


def test_each_subject_has_a_history_of_its_own(
    session: Session, workbenches: Workbenches, subject: Subject
) -> None:
    other = Workbench.of(network(seed=1), images())
    assert other.subject != subject
    workbenches.put(other)
    session.take(d.set_ratio(session.decisions, 0.5))
    session.choose(other.subject)
    assert session.decisions == Decisions()
    assert session.in_hand.plan.dropped == ()
    session.choose(subject)
    assert session.decisions.ratio == 0.5


def test_a_session_is_imported_without_torch_and_without_a_screen() -> None:
    code = (
        "import sys, pruneviz.session.session; "
        "print(sorted({'torch', 'streamlit'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert out.stdout.strip() == "[]", out.stderr

"""Plans measured in the background: by kind, once for everybody, the last question of an owner."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pruneviz.plan import Plan
from pruneviz.repair import repair
from pruneviz.session.background import Background
from pruneviz.session.previews import CUT, INSTANT, MEASURES, REPAIRED, Previews, measure_cut
from pruneviz.session.workbench import Workbench
from pruneviz.surgery import prune
from pruneviz.training import Evaluation, evaluate


def test_a_plan_is_measured_as_the_pruned_network_is(workbench: Workbench) -> None:
    previews = Previews(Background())
    plan = Plan(workbench.graph).drop("2", range(10))
    assert previews.ask(workbench, plan).state == "pending"
    answer = previews.wait(workbench, plan)
    assert answer.state == "ready"
    small = prune(workbench.model, workbench.graph, plan)
    assert answer.value is not None
    assert answer.value.loss == evaluate(small, workbench.data).loss
    assert previews.known(workbench, plan) is answer.value
    assert previews.known(workbench, None) is None, "nobody has asked for the unpruned network"


def test_kinds_are_answered_apart_and_the_unpruned_network_is_the_same_under_each(
    workbench: Workbench,
) -> None:
    def measure_better(bench: Workbench, plan: Plan | None) -> Evaluation:
        return replace(measure_cut(bench, plan), accuracy=1.0)

    previews = Previews(Background(), {**MEASURES, "better": measure_better})
    plan = Plan(workbench.graph).drop("0", 1)
    assert previews.wait(workbench, plan, "better").value.accuracy == 1.0  # type: ignore[union-attr]
    assert previews.known(workbench, plan, CUT) is None
    whole = previews.wait(workbench, None, "better").value
    assert whole is previews.known(workbench, Plan(workbench.graph), CUT)
    assert whole.accuracy < 1.0  # type: ignore[union-attr]


def test_of_many_positions_of_a_slider_the_last_is_measured(workbench: Workbench) -> None:
    background, gate = Background(), threading.Event()
    previews = Previews(background)
    background.ask("busy", lambda: gate.wait(30))
    plans = [Plan(workbench.graph).drop("2", range(n)) for n in (2, 4, 6)]
    for plan in plans:
        previews.ask(workbench, plan, owner="me")
    assert previews.pending("me")
    assert not previews.pending("somebody else")
    gate.set()
    previews.wait(workbench, plans[-1])
    known = [previews.known(workbench, plan) is not None for plan in plans]
    assert known == [False, False, True]
    assert not previews.pending("me")


def test_a_measurement_that_fails_is_a_sentence(workbench: Workbench) -> None:
    def fail(_bench: Workbench, _plan: Plan | None) -> Evaluation:
        raise ZeroDivisionError("by zero")

    previews = Previews(Background(), {CUT: fail})
    answer = previews.wait(workbench, None)
    assert (answer.state, answer.error) == ("failed", "ZeroDivisionError: by zero")


@pytest.mark.parametrize("kind", ["nonsense"])
def test_an_unknown_kind_is_refused(workbench: Workbench, kind: str) -> None:
    from pruneviz.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match="cut"):
        Previews(Background()).ask(workbench, Plan(workbench.graph).drop("0", 1), kind)


def test_a_plan_is_worth_what_the_repaired_network_is(workbench: Workbench) -> None:
    """What is shown is what `pv.repair` gives, to the last digit of the loss."""
    previews = Previews(Background())
    plan = Plan(workbench.graph).drop("2", range(10))
    small = repair(workbench.model, workbench.graph, plan, workbench.data)
    shown = previews.wait(workbench, plan, REPAIRED).value
    assert shown is not None
    assert shown.loss == evaluate(small, workbench.data, limit=workbench.preview_images).loss


def test_the_instant_repair_comes_first_then_the_full_one_and_the_cut(
    workbench: Workbench,
) -> None:
    background, gate = Background(), threading.Event()
    previews = Previews(background)
    plan = Plan(workbench.graph).drop("2", range(10))
    background.ask("busy", lambda: gate.wait(30))
    first = previews.worth(workbench, plan, ask=True, owner="me")
    assert (first.best, first.kind) == (None, "")
    gate.set()
    background.wait(previews.key(workbench, plan, INSTANT))
    assert previews.known(workbench, plan, REPAIRED) is None, "nobody has asked for it yet"
    assert previews.worth(workbench, plan).kind == INSTANT
    previews.worth(workbench, plan, ask=True, owner="me")
    for kind in (REPAIRED, CUT):
        background.wait(previews.key(workbench, plan, kind))
    last = previews.worth(workbench, plan)
    assert last.kind == REPAIRED
    assert last.best is last.repaired.value
    assert last.cut.ready


def test_a_large_network_is_repaired_in_full_only_when_asked(workbench: Workbench) -> None:
    workbench.__dict__["repairs_quickly"] = False
    background = Background()
    previews = Previews(background)
    plan = Plan(workbench.graph).drop("2", range(10))
    for _ in range(2):
        previews.worth(workbench, plan, ask=True)
        for kind in (INSTANT, CUT, REPAIRED):
            background.wait(previews.key(workbench, plan, kind))
    worth = previews.worth(workbench, plan)
    assert (worth.kind, worth.repaired.state) == (INSTANT, "pending")


def test_nothing_pruned_has_no_kind(workbench: Workbench) -> None:
    previews = Previews(Background())
    whole = Plan(workbench.graph)
    previews.worth(workbench, whole, ask=True)
    previews.wait(workbench, None)
    worth = previews.worth(workbench, whole)
    assert (worth.kind, worth.whole) == ("", True)
    assert worth.best is not None

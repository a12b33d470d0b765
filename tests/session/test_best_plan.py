"""The best plan for a budget keeps what was decided by hand."""

from __future__ import annotations

import pytest

from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.session.best_plan import best_plan
from pruneviz.session.decisions import Decisions
from pruneviz.session.workbench import Workbench


def test_it_meets_the_budget_and_says_what_it_is(workbench: Workbench) -> None:
    told: list[float] = []
    decisions = Decisions(criterion="l1")
    (after, label), found = best_plan(
        workbench, decisions, 0.5, progress=lambda share, _: told.append(share)
    )
    plan, costs = workbench.plan_at(after)
    assert costs.macs_ratio <= 0.5
    assert plan == found.plan
    assert label == "best plan for 50% of the MACs"
    assert told == sorted(told)
    again, _ = best_plan(workbench, decisions, 0.5, scan=found.scan)
    assert again == (after, label)


def test_protected_groups_and_picks_stay(workbench: Workbench) -> None:
    graph = workbench.graph
    first, second = graph.prunable_groups
    pick, keep = second.start + 3, second.start
    decisions = Decisions(
        criterion="l1",
        protected=frozenset({first.name}),
        dropped=frozenset({pick}),
        kept=frozenset({keep}),
    )
    (after, _), found = best_plan(workbench, decisions, 0.6)
    plan, _ = workbench.plan_at(after)
    assert set(plan.by_group()) == {second.name}
    assert plan.kept[keep]
    assert not plan.kept[pick]
    assert cost(graph, found.plan).macs_ratio <= 0.6
    assert after.kept == decisions.kept, "also when a slider is moved afterwards"
    assert after.dropped == decisions.dropped


def test_a_second_search_begins_anew(workbench: Workbench) -> None:
    """The first plan counted as picked by hand: what was looked for at 80 % came with its cuts."""
    (small, _), first = best_plan(workbench, Decisions(criterion="l1"), 0.3)
    (large, _), _ = best_plan(workbench, small, 0.8, scan=first.scan)
    (alone, _), _ = best_plan(workbench, Decisions(criterion="l1"), 0.8, scan=first.scan)
    assert large == alone
    assert 0.3 < workbench.plan_at(large).cost.macs_ratio <= 0.8


def test_picks_that_leave_less_than_the_budget_are_told(workbench: Workbench) -> None:
    """As after the plan of a run, where every unit is a pick."""
    group = workbench.graph.prunable_groups[0]
    picks = frozenset(list(group.units)[1:])
    with pytest.raises(InvalidValueError, match="clear manual picks on the page Rank"):
        best_plan(workbench, Decisions(criterion="l1", dropped=picks), 0.99)


def test_what_cannot_be_reached_is_said(workbench: Workbench) -> None:
    with pytest.raises(InvalidValueError, match="cannot be reached"):
        best_plan(workbench, Decisions(criterion="l1"), 0.001)

"""Groups' sliders after a plan that did not come from sliders."""

from __future__ import annotations

from pruneviz.session.decisions import drop_by_hand, exactly
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound


def test_a_slider_takes_back_what_the_plan_of_a_run_prunes(studio: Open) -> None:
    """Every unit of such a plan counts as picked by hand: the slider moved and nothing followed."""
    page = sound(studio("prune"))
    session = page.session_state["session"]
    first, second = session.workbench.graph.prunable_groups[:2]
    units = frozenset([*list(first.units)[:12], *list(second.units)[:4]])
    session.take(exactly(session.decisions, units, "plan of a run"))
    page = move(sound(page.run()), "ratio0", 25)
    plan = page.session_state["session"].in_hand.plan
    assert plan.ratios()[first.name] == 0.25
    assert plan.ratios()[second.name] == 0.25, "the other group stays as it was"


def test_a_slider_above_the_picks_keeps_them(studio: Open) -> None:
    page = sound(studio("prune"))
    session = page.session_state["session"]
    group = session.workbench.graph.prunable_groups[0]
    picks = frozenset(list(group.units)[:2])
    session.take(drop_by_hand(session.decisions, picks, "two by hand"))
    page = move(sound(page.run()), "ratio0", 50)
    assert page.session_state["session"].decisions.dropped == picks
    assert not page.session_state["session"].in_hand.plan.kept[sorted(picks)].any()

"""The widget without a browser: what its traits say when a hand moves others."""

from __future__ import annotations

import time

import pytest

import pruneviz as pv
from pruneviz.session import session

pytest.importorskip("anywidget")


@pytest.fixture(autouse=True)
def _every_move_is_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PASSING_SECONDS", 0.0)


@pytest.fixture(scope="module")
def subject() -> tuple[object, object]:
    return pv.load_model("resnet20", weights="digits"), pv.load_dataset("digits")


@pytest.mark.slow
def test_the_slider_for_all_makes_a_plan_and_its_repaired_accuracy(subject: tuple) -> None:  # type: ignore[type-arg]
    model, data = subject
    sliders = pv.explore(model, data)
    assert not sliders.plan.dropped
    sliders.ratio = 0.5
    graph = pv.trace(model, data.input_shape)
    rank = sliders._bench.rankings.of("fisher")
    plan = pv.threshold(graph, rank, "fisher", 0.5, scope="global")
    assert sliders.plan.dropped == plan.dropped
    assert sliders.state["macs"] == pv.cost(graph, plan).macs == sliders.cost.macs
    sliders.wait()
    small = pv.repair(model, graph, plan, data)
    assert sliders.state["kind"] == "repaired"
    assert sliders.state["accuracy"] == pv.evaluate(small, data).accuracy
    labels = {point["label"]: point for point in sliders.points}
    assert labels["nothing pruned"]["macs"] == 1
    assert labels["fisher 50 % over all groups"]["accuracy"] == sliders.state["accuracy"]


@pytest.mark.slow
def test_a_groups_slider_undo_redo_and_a_click_on_a_point(subject: tuple) -> None:  # type: ignore[type-arg]
    sliders = pv.explore(*subject)
    name = sliders.graph.prunable_groups[1].name
    sliders.ratios = {name: 0.5}
    (shown,) = [g for g in sliders.groups if g["name"] == name]
    assert (shown["left"], shown["ratio"]) == (shown["width"] / 2, 0.5)
    pruned, step = sliders.plan, sliders._session.history.current
    sliders.asked = {"do": "undo", "count": 1}
    assert not sliders.plan.dropped
    assert sliders.ratios == {}
    sliders.asked = {"do": "redo", "count": 2}
    assert sliders.plan == pruned
    sliders.ratios = {}
    assert not sliders.plan.dropped, "the group follows the whole network again"
    sliders.asked = {"do": "go", "step": step, "count": 3}
    assert sliders.plan == pruned
    assert sliders.ratios == {name: 0.5}
    sliders.asked = {"do": "go", "step": "no such step"}
    assert sliders.plan == pruned
    sliders.wait()


@pytest.mark.slow
def test_what_is_refused_is_said_and_nothing_changes(subject: tuple) -> None:  # type: ignore[type-arg]
    sliders = pv.explore(*subject)
    sliders.ratios = {"no such group": 0.5}
    assert "no such group" in sliders.state["error"]
    assert sliders.ratios == {}
    assert not sliders.plan.dropped
    sliders.ratio = 1.5
    assert "within 0..1" in sliders.state["error"]
    assert sliders.ratio == 0
    sliders.wait()


def test_an_unknown_criterion_lists_the_choices(subject: tuple) -> None:  # type: ignore[type-arg]
    with pytest.raises(pv.errors.UnknownNameError, match="fisher"):
        pv.explore(*subject, criterion="magic")


@pytest.mark.slow
def test_a_hand_that_moves_on_while_plans_are_measured(
    subject: tuple,  # type: ignore[type-arg]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its steps are amended meanwhile, under the hands of the thread that measures."""
    monkeypatch.setattr(session, "PASSING_SECONDS", 60.0)
    sliders = pv.explore(*subject)
    for percent in range(1, 31):
        sliders.ratio = percent / 100
        time.sleep(0.05)
    sliders.wait()
    assert sliders.state["kind"] == "repaired"
    assert sliders.state["accuracy"] is not None
    assert "fisher 30 % over all groups" in {point["label"] for point in sliders.points}
    assert len(sliders._session.history.steps) == 2, "one step from nothing to 30 %"

"""The page Runs: a front to choose from, a study's curves, a strategy's course."""

from __future__ import annotations

from typing import Any

from pruneviz.cost import cost
from pruneviz.jobs.leases import claim
from pruneviz.plan import Plan
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.runs import run_results
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts


def stopped(options: dict[str, Any], found: dict[str, Any]) -> str:
    """A strategy's run on the subject in hand that found these things."""
    loaded = workbench.bench(Subject())
    spec = runs_data.strategy_spec(loaded, "genetic", options, "mine", "me")
    service = services.jobs()
    run_id = service.store.create(spec, submitter="test").id
    mine = claim(service.store, run_id, threads=1)
    assert mine is not None
    for name, payload in found.items():
        mine.keep(name, payload)
    mine.finish("interrupted")  # the link to the page Export needs the whole app
    return run_id


def test_a_network_of_the_front_becomes_the_plan(studio: Open) -> None:
    studio("runs")
    graph = workbench.bench(Subject()).graph
    plan = Plan(graph).drop("layer1.0.conv1", [0, 2]).drop("layer2.0.conv1", [5])
    front = [
        {"dropped": {n: list(u) for n, u in plan.by_group().items()}, "accuracy": 0.9,
         "macs": cost(graph, plan).macs},
        {"dropped": {}, "accuracy": 0.99, "macs": cost(graph).macs},
    ]  # fmt: skip
    run_id = stopped({}, {"front": front})
    page = sound(studio("runs"))
    assert "Pareto front: 2 networks" in [e.label for e in page.expander]
    assert not [b for b in page.button if b.key == f"take_front_{run_id}"]
    page.session_state[f"front_chosen_{run_id}"] = 0
    sound(page.run())
    button = page.button(key=f"take_front_{run_id}")
    assert "90.0" in button.label
    button.click().run()
    sound(page)
    history = page.session_state["session"].history
    assert history.decisions.dropped == frozenset(plan.dropped)
    assert history.step.label == "network 1 of the front of mine"


def test_points_of_a_front_keep_their_order(studio: Open) -> None:
    results = {
        "front": [
            {"dropped": {"a": [1]}, "macs": 5, "accuracy": 0.5},
            {"dropped": {}, "macs": 9, "accuracy": 0.9},
        ]
    }
    points = run_results.points_of(run_results.front_of(results))
    assert [(p.key, p.macs, p.accuracy) for p in points] == [
        ("front:0", 5.0, 0.5),
        ("front:1", 9.0, 0.9),
    ]


def test_a_study_is_drawn(studio: Open) -> None:
    studio("runs")
    point = {"removed": 0.0, "macs": 9, "params": 9, "accuracy": 0.9, "test_accuracy": None}
    points = [{"start": start, **point} for start in ("pretrained", "scratch")]
    stopped({"seed": 1}, {"points": points})
    page = sound(studio("runs"))
    assert "Pretrained against from scratch" in [e.label for e in page.expander]
    assert "mine" in texts(page)

"""The page Runs: a front to choose from, a study's curves, a strategy's course."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pruneviz.cost import cost
from pruneviz.jobs.course import CourseWriter
from pruneviz.jobs.leases import claim
from pruneviz.plan import Plan
from pruneviz.session.decisions import Subject
from pruneviz.strategies import StrategyEvent
from pruneviz.strategies.details import Population, Removals, Zeroing
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
    assert "Pretrained versus from scratch" in [e.label for e in page.expander]
    assert "mine" in texts(page)


def with_course(strategy: str, count: int = 3) -> str:
    """A stopped run of a strategy that has kept some steps."""
    loaded = workbench.bench(Subject())
    run_id = stopped({"strategy": strategy}, {})
    folder = services.jobs().files(run_id)
    folder.mkdir(parents=True)
    writer = CourseWriter(folder, loaded.graph)
    plan = Plan(loaded.graph)
    for step in range(1, count + 1):
        plan = plan.drop("layer1.0.conv1", [step])
        units = loaded.graph.num_units
        genes = np.ones((2, int(loaded.graph.prunable.sum())), bool)
        details = {
            "taylor": Removals(np.linspace(0, 1, units)[None], plan.kept[None]),
            "soft": Zeroing(
                ("layer1.0.conv1", "layer2.0.conv1"), (16, 32), np.ones(48), np.arange(48) % 3 == 0
            ),
            "genetic": Population(np.array([0.5, 0.9]), np.array([0.3, 0.8]), genes),
        }[strategy]
        writer.add(
            StrategyEvent(
                strategy=strategy, step=step, steps=None, progress=0.1, phase="prune",
                message=f"did *{step}*", units_left=1, macs=1000, params=100, passes=1.0,
                loss=0.1, val_loss=0.1, accuracy=0.9, plan=plan.to_json(), details=details,
            )
        )  # fmt: skip
    return run_id


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["taylor", "genetic"])
def test_a_strategys_steps_are_replayed_on_its_card(studio: Open, strategy: str) -> None:
    studio("runs")
    run_id = with_course(strategy)
    page = sound(studio("runs"))
    assert "Step by step" in [e.label for e in page.expander]
    assert f"course_step_{run_id}_3" not in [s.key for s in page.slider]  # nobody looks
    page.session_state[f"steps_{run_id}"] = True
    sound(page.run())
    assert r"did \*3\*" in texts(page)
    page.slider(key=f"course_step_{run_id}_3").set_value(2).run()
    sound(page)
    assert r"did \*2\*" in texts(page)
    part = [s for s in page.selectbox if s.key == f"course_part_{run_id}"]
    assert bool(part) == (strategy == "taylor")
    if part:
        part[0].set_value("layer2.0.conv1").run()
        sound(page)


def test_a_picture_of_one_layer_names_it(studio: Open) -> None:
    """Soft pruning's picture was headed 'All layers' and showed the first."""
    studio("runs")
    run_id = with_course("soft")
    page = sound(studio("runs"))
    page.session_state[f"steps_{run_id}"] = True
    sound(page.run())
    assert page.selectbox(key=f"course_part_{run_id}").value == "layer1.0.conv1"


@pytest.mark.slow
def test_the_lab_shows_how_a_method_works_beside_its_run(studio: Open) -> None:
    studio("lab")
    with_course("taylor")
    page = studio("lab")
    page.session_state["lab_tab"] = "How the methods work"
    sound(page.run())
    assert "gradient times activation" in texts(page)
    assert r"did \*3\*" in texts(page)
    page.session_state["lab_method"] = "soft"
    sound(page.run())
    page.button(key="short_soft").click().run()
    sound(page)
    runs = [r for r in services.jobs().list() if r.spec.options.get("strategy") == "soft"]
    assert [r.spec.options["rate"] for r in runs] == [0.3]

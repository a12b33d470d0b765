"""The ribbon on a run's card: the network of the step that is shown, live and in the replay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.figures.ribbon import kept_filters
from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import Lease, claim
from pruneviz.plan import Plan
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.runs.replay import FRAMES, onward
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts
from tests.ui.test_run_found import with_course


def ribbon(page: AppTest, key: str) -> dict[str, Any]:
    """What the ribbon of a run draws now, on its card or `live_` above the charts."""
    (drawn,) = [c for c in page.get("bidi_component") if f"ribbon_{key}" in c.proto.id]
    found: dict[str, Any] = json.loads(drawn.proto.json)
    return found


def tuning(plan: Plan | None, moved: list[list[float]] | None) -> Lease:
    """A fine-tuning run under way, of which two epochs are recorded."""
    store, loaded = services.jobs().store, workbench.bench(Subject())
    spec = RunSpec("fine_tune", loaded.source, loaded.data.source,
                   plan=plan.to_json() if plan else None, options={"epochs": 3})  # fmt: skip
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    if moved is not None:
        mine.keep("moved", moved[0])
    for epoch in (1, 2):
        extra = {} if moved is None else {"moved": moved[epoch]}
        mine.beat([{"level": "epoch", "epoch": epoch, "accuracy": 0.9, "time": 0.0,
                    "extra": extra}])  # fmt: skip
    return mine


def test_the_ribbon_of_a_strategys_step_is_the_steps_plan(studio: Open) -> None:
    studio("runs")
    run_id = with_course("soft")
    page = sound(studio("runs"))
    page.session_state[f"steps_{run_id}"] = True
    sound(page.run())
    graph = workbench.bench(Subject()).graph
    for step in (3, 2):
        page.slider(key=f"course_step_{run_id}_3").set_value(step).run()
        sound(page)
        plan = Plan(graph).drop("layer1.0.conv1", range(1, step + 1))
        assert ribbon(page, run_id)["kept"] == list(kept_filters(graph, plan.kept))
        assert ribbon(page, run_id)["legend"] is None, "its movement was not recorded"


def test_fine_tuning_is_followed_and_replayed(studio: Open) -> None:
    graph = workbench.bench(Subject()).graph
    plan = Plan(graph).drop("layer1.0.conv1", [0, 3])
    moved = [[part * (i + 1) / 100 for i in range(len(graph.layers))] for part in (0, 1, 2)]
    mine = tuning(plan, moved)
    page = sound(studio("runs"))
    live = ribbon(page, f"live_{mine.run.id}")
    assert live["kept"] == list(kept_filters(graph, plan.kept))
    assert live["notes"][0] == "weights changed by 2.0\u202f%"
    assert live["legend"]["texts"][0].endswith("since the epoch before")
    assert "after epoch 2" in texts(page)
    mine.finish("done")
    assert ribbon(sound(page.run()), f"live_{mine.run.id}") == live, "its end is still there"

    page = sound(studio("runs"))
    assert not page.get("bidi_component"), "an old run's network waits on its card"
    page.session_state[f"epochs_{mine.run.id}"] = True
    sound(page.run())
    page.slider(key=f"healing_{mine.run.id}").set_value(0).run()
    begun = ribbon(sound(page), mine.run.id)
    assert begun["notes"][0] == "weights changed by 0.0\u202f%"
    assert begun["legend"]["texts"][0].endswith("since the cut, by the repair")
    assert begun["legend"]["colours"] == live["legend"]["colours"]
    assert begun["colours"]["layers"][-1] != live["colours"]["layers"][-1]


def test_a_run_is_played_from_its_beginning_to_its_end(studio: Open) -> None:
    mine = tuning(None, [[0.0] * 20, [0.1] * 20, [0.2] * 20])
    mine.finish("done")
    page = sound(studio("runs"))
    page.session_state[f"epochs_{mine.run.id}"] = True
    sound(page.run())
    key = f"healing_{mine.run.id}"
    page.button(key=f"play_{key}").click().run()
    seen = [page.slider(key=key).value]
    for _ in range(2):
        sound(page.run())  # as its clock has it drawn anew
        seen.append(page.slider(key=key).value)
    assert seen == [0, 1, 2]
    assert page.button(key=f"play_{key}").label == "Play"


def test_a_run_of_an_earlier_version_has_no_empty_picture(studio: Open) -> None:
    mine = tuning(None, None)
    mine.finish("done")
    page = sound(studio("runs"))
    assert f"epochs_{mine.run.id}" not in page.session_state
    assert runs_data.movement(mine.run) == {}


@pytest.mark.parametrize(("last", "shown"), [(3, 3), (1000, 31)])
def test_a_long_run_plays_in_about_as_many_pictures_as_a_short_one(last: int, shown: int) -> None:
    now, pictures = 0, 0
    while now < last:
        now, pictures = onward(now, 0, last), pictures + 1
    assert pictures == shown <= FRAMES + 1

"""The pictures of runs: the same images for the same claim, one data set a chart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pruneviz.figures import TradeoffPoint, training_figure
from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.runs import charts
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts


def measured(accuracy: float, chance: float, count: int) -> dict[str, Any]:
    return {"accuracy": accuracy, "chance": chance, "count": count, "loss": 1.0,
            "classes": [], "per_class": []}  # fmt: skip


def finished(data: dict[str, Any], baseline: float, chance: float, name: str) -> None:
    store = services.jobs().store
    model = workbench.bench(Subject()).source
    spec = RunSpec("fine_tune", model, data, options={"epochs": 1}, name=name)
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    mine.keep("baseline", measured(baseline, chance, 500))
    mine.keep("before", measured(0.4, chance, 500))
    mine.finish("done")


def test_one_data_set_a_chart_with_its_own_baseline_and_chance(studio: Open) -> None:
    finished({"name": "digits", "options": {}}, 0.575, 0.1, "first")
    ants = {"name": "folder", "options": {"root": "ants.zip"}}
    finished(ants, 0.7, 0.6, "second")
    runs = list(services.jobs().list())
    assert charts.first_shown(runs) == [runs[0].id], "the newest run's data alone"
    together = charts.by_data(runs)
    assert sorted(together) == ["ants", "digits"]
    infos = {name: charts.training_info(own) for name, own in together.items()}
    assert (infos["digits"].baseline, infos["digits"].chance) == (0.575, 0.1)
    assert (infos["ants"].baseline, infos["ants"].chance) == (0.7, 0.6)
    assert infos["digits"].runs[0].accuracy[0] == 0.4, "epoch 0 is on the baseline's images"

    page = sound(studio("runs"))
    box = page.multiselect[0]
    assert box.value == [runs[0].id]
    page = sound(box.set_value([run.id for run in runs]).run())
    assert "**ants**" in texts(page)
    assert "**digits**" in texts(page)


def test_wrong_images_turn_right_and_the_loss_is_drawn_by_batches(studio: Open) -> None:
    finished({"name": "digits", "options": {}}, 0.9, 0.1, "healed")
    store = services.jobs().store
    model, data = workbench.bench(Subject()).source, {"name": "digits", "options": {}}
    spec = RunSpec("fine_tune", model, data, options={"epochs": 1}, name="live")
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    labels = workbench.bench(Subject()).data.val.labels.tolist()
    wrong = [(label + 1) % 10 for label in labels[:3]]
    mine.keep(
        "healing",
        {
            "of": 5,
            "images": [0, 1, 2],
            "truth": labels[:3],
            "taken_for": [wrong, [labels[0], labels[1], wrong[2]]],
        },
    )
    course = ((0.25, 2.0), (0.5, 1.0), (0.75, 0.5))
    mine.beat(
        {"level": "batch", "epoch": e, "loss": loss, "accuracy": 1 - loss / 4, "time": 0.0}
        for e, loss in course
    )
    mine.finish("done")

    page = sound(studio("runs"))
    (wall,) = [e for e in page.expander if "are now correct" in e.label]
    assert wall.label == "2 of 3 misclassified images are now correct (of 5 in all)"
    page.session_state[f"epochs_{mine.run.id}"] = True
    sound(page.run())
    assert "After epoch 1: 2 of 3 correct." in texts(page)
    page = sound(page.slider(key=f"healing_{mine.run.id}").set_value(0).run())
    assert "Before training: 0 of 3 correct." in texts(page)

    (run,) = [r for r in services.jobs().list() if r.name == "live"]
    info = charts.training_info([run])
    assert info.runs[0].batches == course
    (line,) = training_figure(info, "loss").data
    assert tuple(line.y) == (2.0, 1.0, 0.5)
    assert info.runs[0].accuracy == (), "a batch's accuracy is none of the network's"
    (line,) = training_figure(info).data
    assert (line.line.dash, tuple(line.y)) == ("dot", (0.5, 0.75, 0.875))


def test_a_preview_on_fewer_images_is_not_drawn_beside_a_run() -> None:
    def point(key: str, kind: Any, images: int) -> TradeoffPoint:
        return TradeoffPoint(key, key, kind, 1.0, 1.0, 0.5, images)

    run = point("run", "fine-tuned", 500)
    plans = [point("here", "baseline", 64), point("plan", "plan", 64), point("b", "baseline", 500)]
    assert [p.key for p in charts.comparable(plans, [run])] == ["b", "run"]
    assert len(charts.comparable(plans[:2], [])) == 2


def test_what_waits_gives_way_to_what_goes_on(studio: Open) -> None:
    """The newest runs were drawn, which had nothing to draw, and named in the bar."""
    model, data = workbench.bench(Subject()).source, {"name": "digits", "options": {}}
    store = services.jobs().store
    spec = RunSpec("taylor", model, data, options={}, name="going on")
    run_id = store.create(spec, submitter="test").id
    assert claim(store, run_id, threads=1) is not None
    waiting = [replace(spec, name=f"waits {i}") for i in range(3)]
    for one in waiting:
        store.create(one, submitter="test")
    page = sound(studio("runs"))
    assert page.multiselect[0].value == [run_id]
    bar = next(x for x in texts(page).splitlines() if "3 more" in x or "2 more" in x)
    assert "going on" in bar, bar


def test_a_strategys_card_tells_its_accuracy(studio: Open) -> None:
    """It had what came out stored, and showed it nowhere."""
    model, data = workbench.bench(Subject()).source, {"name": "digits", "options": {}}
    store = services.jobs().store
    spec = RunSpec("strategy", model, data, options={"strategy": "taylor"}, name="pruned")
    mine = claim(store, store.create(spec, submitter="test").id, threads=1)
    assert mine is not None
    mine.keep("baseline", measured(0.99, 0.1, 500))
    mine.keep("after", measured(0.984, 0.1, 500))
    mine.finish("done")
    assert "top-1 98.4 %, unpruned 99.0 %" in texts(sound(studio("runs")))

"""The pages that show what runs in the background: waiting, done, failed."""

from __future__ import annotations

import pytest

from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.runs import records as runs_data
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound, texts


@pytest.mark.sweep
def test_a_run_is_started_in_two_clicks_and_shown_when_done(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 50)
    page = sound(studio("runs", like=page))
    assert "No runs yet" in texts(page)
    next(n for n in page.number_input if n.label == "Epochs").set_value(1)
    page.button[[b.label for b in page.button].index("Start")].click().run()
    (run,) = services.jobs().list()
    assert run.spec.options["epochs"] == 1
    assert services.jobs().wait(run.id, 300).status == "done"
    page = sound(page.run())
    assert "badge[done]" in texts(page)
    assert "top-1" in texts(page)
    table = next(d.value for d in page.dataframe if "accuracy after" in d.value)
    assert table["accuracy after"][0] > 0.9
    assert table["MACs left"][0] < 0.5, "half of the units is more than half of the MACs"
    name = next(t for t in page.text_input if t.key == f"name_{run.id}")
    name.set_value("the first").run()
    assert services.jobs().get(run.id).name == "the first"


@pytest.mark.sweep
def test_a_run_that_failed_says_why_and_the_page_goes_on(studio: Open) -> None:
    loaded = workbench.bench(Subject())
    spec = runs_data.spec(loaded, None, {"epochs": 1, "lr": -1.0}, "impossible", "nobody")
    failed = services.jobs().submit(spec)
    assert services.jobs().wait(failed, 300).status == "failed"
    page = studio("runs")
    assert not page.exception
    assert "badge[failed]" in texts(page)
    assert any("must" in e.value for e in page.error), [e.value for e in page.error]
    assert any(b.label == "Start" for b in page.button)


@pytest.mark.sweep
def test_a_scan_shows_its_curves_and_turns_a_tolerated_drop_into_ratios(studio: Open) -> None:
    page = sound(studio("sensitivity"))
    assert "No scan by" in texts(page)
    images = next(box for box in page.selectbox if box.label == "Images")
    images.set_value(100).run()
    page.button[[b.label for b in page.button].index("Scan")].click().run()
    (run,) = services.jobs().list()
    assert services.jobs().wait(run.id, 300).status == "done"
    page = sound(page.run())
    assert "100 of 100 val images" in texts(page) or "100 of 500 val images" in texts(page)
    loaded = workbench.bench(Subject())
    ranked = services.jobs().results(run.id)["ranked"]
    assert ranked["images"] == loaded.rankings.of(ranked["criterion"]).images, "one order for both"
    assert f"Ranked on {ranked['images']} training images" in texts(page)
    rank = sound(studio("rank", like=page))
    assert f"Ranked on {ranked['images']} training images" in texts(rank)
    points = next(d.value for d in page.dataframe if "allowed" in d.value)
    assert set(points["ratio"]) == {0.1, 0.3, 0.5, 0.7, 0.9}
    assert (points["removed"] > 0).all(), "a point always says how many units went"
    assert any(b.label.startswith("Use these ratios") for b in page.button)

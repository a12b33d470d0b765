"""The page Lab: stored results, experiments and races of the visitor's own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.commands import race as command
from pruneviz.jobs import RunSpec, planned, register
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.planning import Planner
from pruneviz.jobs.recovery import fail
from pruneviz.studies.papers import claims, results
from pruneviz.studies.race_result import Outcome, Race
from pruneviz.ui.frame import services
from pruneviz.ui.lab import race as lab_race
from pruneviz.ui.lab import records as lab_data
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts


@register("claim done")
def claim_done(context: JobContext) -> None:
    """What an experiment leaves, without the experiment."""
    context.keep("lab", context.options["found"])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[RunSpec]:
    """Take what is submitted, and do not do it."""
    from pruneviz.jobs import JobService

    taken: list[RunSpec] = []

    def submit(self: JobService, spec: RunSpec, **_: Any) -> str:
        taken.append(spec)
        return "x"

    monkeypatch.setattr(JobService, "submit", submit)
    monkeypatch.setattr(Planner, "submit", lambda self, lives_elsewhere: ())
    return taken


def choose(page: AppTest, claim: str) -> AppTest:
    return sound(page.selectbox(key="claim").set_value(claim).run())


def test_every_claim_says_what_is_published_and_what_was_measured(studio: Open) -> None:
    page = sound(studio("lab"))
    stored = results()
    assert stored
    for claim in claims():
        choose(page, claim.key)
        said = texts(page)
        assert claim.published in said
        assert claim.test in said
        assert claim.differs in said
        mine = [r for r in stored if r.claim == claim.key]
        for result in mine:
            for text, holds in result.readings:
                assert f"{'✓' if holds else '✗'} {text}" in said
            assert result.machine in said
            assert result.commit in said
            assert any(result.command == code.value for code in page.code)
            told = [w.value for w in page.warning if result.outdated and result.outdated in w.value]
            assert bool(told) == bool(result.outdated)
        labels = [tab.label for tab in page.tabs]
        for result in mine:
            mark = "✓" if result.holds else "✗"
            scale = ", hours" if result.scale == "hours" else ""
            assert f"{mark} {result.network} on {result.data}{scale}" in labels
        if not mine:
            assert "No results for this claim" in said
    table = page.dataframe[0].value
    assert len(table) == len(stored)
    now = [r for r in stored if not r.outdated]
    assert (table["verdict"] == "holds").sum() == sum(r.holds for r in now)
    assert table["verdict"].str.contains("earlier version").sum() == len(stored) - len(now)


def test_an_experiment_is_queued_as_asked(studio: Open, quick: list[RunSpec]) -> None:
    page = choose(sound(studio("lab")), "interleaved")
    page.selectbox(key="lab_network_interleaved").set_value("resnet20")
    next(b for b in page.button if b.label == "Start").click().run()
    sound(page)
    (spec,) = quick
    assert spec.kind == "claim"
    assert spec.options == {
        "claim": "interleaved", "network": "resnet20", "data": "digits", "root": None,
        "weights": None, "size": None, "limit": None, "scale": "minutes", "seeds": [0],
    }  # fmt: skip


def test_results_of_ones_own_stand_beside_the_stored(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio("runs")
    mine = replace(results()[0], commit="mine123")
    service = services.jobs()
    monkeypatch.setattr(lab_data, "CLAIM", "claim done")
    options = {"claim": mine.claim, "found": json.loads(mine.to_json())}
    run_id = service.store.create(RunSpec("claim done", options=options), submitter="test").id
    from pruneviz.jobs.worker import run_job

    assert run_job(str(service.home), run_id) == "done"
    page = choose(sound(studio("lab")), mine.claim)
    assert any(f"{mine.network} on {mine.data}, yours" in tab.label for tab in page.tabs)
    assert "mine123" in texts(page)
    assert "you" in page.dataframe[0].value["by"].tolist()


def test_a_run_that_failed_says_why_and_can_be_deleted(studio: Open) -> None:
    studio("runs")
    service = services.jobs()
    run = service.store.create(RunSpec("claim", options={"claim": "oracle"}), submitter="test")
    fail(service.store, run.id, "The lights went out.")
    page = studio("lab")
    assert not page.exception
    assert [e.value for e in page.error] == ["The lights went out."]


def race(runs: int) -> Race:
    outcomes = [
        Outcome(name, seed, macs, 50, accuracy + seed / 100, 0.9, 2.0, 3.0, "{}")
        for seed in (0, 1)
        for name, macs, accuracy in (("taylor", 50, 0.9), ("control", 100, 0.95))
    ]
    return Race(
        "resnet20", "digits", "val", 500, 0.5, 2, (0, 1), ("taylor", "control"),
        {"taylor": {}, "control": {}}, 100, 100,
        0.94, tuple(outcomes[:runs]),
    )  # fmt: skip


def test_the_table_of_a_race() -> None:
    frame = lab_race.table(race(4)).set_index("strategy")
    assert frame.loc["Taylor, interleaved", "accuracy"] == "90.50 ± 0.71 %"
    assert "5.0" in frame.loc["Taylor, interleaved", "against control"]
    assert frame.loc["Control (nothing pruned)", "runs"] == "2 of 2"
    early = lab_race.table(race(1)).set_index("strategy")
    assert early.loc["Control (nothing pruned)", "accuracy"] == "–"
    assert early.loc["Taylor, interleaved", "against control"] == "–"


def test_a_halved_race_says_who_stopped() -> None:
    outcomes = tuple(
        Outcome(name, 0, 50, 50, accuracy, accuracy, 2.0, 3.0, "{}")
        for name, accuracy in (("taylor", 0.95), ("uniform", 0.9), ("control", 0.99))
    )
    names = ("taylor", "uniform", "control")
    halved = replace(race(0), strategies=names, outcomes=outcomes, halving=True)
    assert list(lab_race.table(halved)["runs"]) == ["1 of 2", "1 of 2, stopped", "1 of 2"]
    assert lab_race.stopped(halved).endswith("continues. Stopped: Uniform after 1 seed.")
    assert lab_race.stopped(race(4)).endswith("Stopped: none yet.")
    told = command.table(halved).splitlines()
    assert [line.endswith("stopped early") for line in told[1:4]] == [False, True, False]
    assert command.HALVED in told
    assert command.HALVED not in command.table(race(4))


@pytest.mark.slow
def test_a_race_is_queued_and_shown(studio: Open, quick: list[RunSpec]) -> None:
    page = sound(studio("lab"))
    assert "No race yet" in texts(page)
    field = next(m for m in page.multiselect if m.label == "Strategies")
    assert field.value == list(lab_race.FIRST)
    field.set_value(["taylor", "control"])
    next(b for b in page.button if b.label == "Start the race").click().run()
    sound(page)
    assert len(quick) == 4
    assert {spec.kind for spec in quick} == {"race"}
    assert len({spec.parent for spec in quick}) == 1
    raced = [(spec.options["strategy"], spec.options["seed"]) for spec in quick]
    assert raced == [("taylor", 0), ("control", 0), ("taylor", 1), ("control", 1)]
    assert quick[0].model["name"] == "resnet20"
    service = services.jobs()
    runs = [service.store.create(spec, submitter="test") for spec in quick]
    page = sound(studio("lab"))
    assert "appears once the first strategy is done" in texts(page)
    shown = next(s for s in page.selectbox if s.label == "Race")
    assert "resnet20 on digits, 2 strategies, 2 epochs, 50% of the MACs, " in shown.options[0]
    whole = race(4)
    for run, outcome in list(zip(runs, whole.outcomes, strict=True))[:3]:
        part = replace(whole, seeds=(outcome.seed,), outcomes=(outcome,))
        _keep(service, run.id, json.loads(part.to_json()), status="done")
    service.cancel(runs[3].id)
    page = sound(studio("lab"))
    (frame,) = (d.value for d in page.dataframe if "against control" in d.value)
    assert list(frame["runs"]) == ["2 of 2", "1 of 2"]
    assert {b.label for b in page.button} >= {"Resume", "Delete"}
    next(b for b in page.button if b.label == "Delete").click().run()
    sound(page)
    assert not service.list()


@pytest.mark.slow
def test_a_race_with_halving_is_kept_shown_and_cancelled(
    studio: Open, quick: list[RunSpec]
) -> None:
    """Its first round is queued; the rest is in the records, for whoever lives then."""
    page = sound(studio("lab"))
    next(m for m in page.multiselect if m.label == "Strategies").set_value(
        ["taylor", "uniform", "control"]
    )
    next(n for n in page.number_input if n.label == "Seeds").set_value(4)
    toggle = next(t for t in page.toggle if t.label == "Successive halving")
    assert not toggle.value
    assert "Their runs begin by themselves, also when this page is closed." in texts(page)
    toggle.set_value(True)
    next(b for b in page.button if b.label == "Start the race").click().run()
    sound(page)
    assert "At most 12 runs of 2 epochs." in texts(page)
    raced = [(spec.options["strategy"], spec.options["seed"]) for spec in quick]
    assert raced == [("taylor", 0), ("uniform", 0), ("control", 0)]
    service, parent = services.jobs(), str(quick[0].parent)
    plan = service.planned(parent)
    assert plan is not None
    assert (plan.status, plan.request["seeds"]) == ("open", [0, 1, 2, 3])
    service.cancel_study(parent)
    runs = [service.store.create(spec, submitter="test") for spec in quick]
    names = ("taylor", "uniform", "control")
    whole = replace(race(0), strategies=names, options={n: {} for n in names}, halving=True)
    for run in runs:
        name = str(run.spec.options["strategy"])
        accuracy = {"taylor": 0.9, "uniform": 0.8, "control": 0.95}[name]
        one = Outcome(name, 0, 50, 50, accuracy, accuracy, 2.0, 3.0, "{}")
        part = replace(whole, seeds=(0,), outcomes=(one,))
        _keep(service, run.id, json.loads(part.to_json()), status="done")
    page = sound(studio("lab"))
    assert "Stopped: Uniform after 1 seed." in texts(page)
    (frame,) = (d.value for d in page.dataframe if "against control" in d.value)
    assert list(frame["runs"]) == ["1 of 4", "1 of 4, stopped", "1 of 4"]
    labels = {b.label for b in page.button}
    assert "Resume" in labels, "though each of its runs is done"
    assert "Cancel" not in labels
    planned.note_error(service.store.database, parent, "The lights went out.")
    planned.set_status(service.store.database, parent, "done")
    assert "Resume" not in {b.label for b in sound(studio("lab")).button}
    next(b for b in page.button if b.label == "Delete").click().run()
    sound(page)
    assert service.planned(parent) is None


@pytest.mark.slow
def test_the_race_that_was_started_is_the_one_that_is_shown(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pruneviz.jobs import JobService

    studio("runs")
    service = services.jobs()
    monkeypatch.setattr(
        JobService, "submit", lambda self, spec, **_: self.store.create(spec, submitter="test").id
    )
    page = studio("lab")
    for strategies in (["uniform"], ["uniform", "control"]):
        field = next(m for m in page.multiselect if m.label == "Strategies")
        field.set_value(strategies)
        next(b for b in page.button if b.label == "Start the race").click().run()
        sound(page)
        shown = next(s for s in page.selectbox if s.label == "Race")
        (newest, *_) = service.list()
        assert shown.value == newest.parent
    assert len(shown.options) == 2


@pytest.mark.slow
def test_a_study_is_a_queue_of_runs_in_one_figure(studio: Open, quick: list[RunSpec]) -> None:
    page = sound(studio("lab"))
    assert "No study yet" in texts(page)
    networks = next(m for m in page.multiselect if m.label == "Pretrained networks")
    networks.set_value([])
    next(b for b in page.button if b.label == "Start the study").click().run()
    assert "at least one network" in " ".join(e.value for e in page.error)
    networks = next(m for m in page.multiselect if m.label == "Pretrained networks")
    networks.set_value(["vgg16, cifar10", "mobilenet_v2, cifar10"])
    next(b for b in page.button if b.label == "Start the study").click().run()
    sound(page)
    assert [spec.model["name"] for spec in quick] == ["vgg16", "mobilenet_v2"]
    assert len({spec.parent for spec in quick}) == 1
    assert all(spec.kind == "pretraining_study" for spec in quick)
    service = services.jobs()
    first, second = (service.store.create(spec, submitter="test") for spec in quick)
    page = sound(studio("lab"))
    assert "appear once the first network is trained" in texts(page)
    points = [
        {
            "start": start,
            "removed": gone,
            "macs": 1,
            "params": 1,
            "accuracy": accuracy,
            "test_accuracy": None,
        }
        for start, low in (("pretrained", 0.9), ("scratch", 0.7))
        for gone, accuracy in ((0.0, 0.9), (0.4, low))
    ]
    _keep(service, first.id, points, "points")
    service.cancel(second.id)
    page = sound(studio("lab"))
    shown = next(s for s in page.selectbox if s.label == "Study")
    assert "vgg16, mobilenet_v2 on digits, " in shown.options[0]
    (frame,) = (d.value for d in page.dataframe if "removed" in d.value)
    assert list(frame["start"]) == ["pretrained", "scratch"]
    assert list(frame["removed"]) == ["40.0 %", "0.0 %"]
    assert {b.label for b in page.button} >= {"Resume", "Delete"}
    next(b for b in page.button if b.label == "Delete").click().run()
    sound(page)
    assert not service.list()


def _keep(
    service: Any, run_id: str, payload: Any, name: str = "race", status: str = "interrupted"
) -> None:
    from pruneviz.jobs.leases import claim

    mine = claim(service.store, run_id, threads=1)
    assert mine is not None
    mine.keep(name, payload)
    mine.finish(status)

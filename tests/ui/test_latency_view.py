"""The view Latency of the page Prune, and measured time as the trade-off's axis."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

import pruneviz as pv
from pruneviz.latency import Latency, Timing
from pruneviz.machine import cores
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.prune import timings
from pruneviz.ui.prune.timings import Setting
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound, texts


def done(page: AppTest) -> AppTest:
    """Wait until the measurement has ended, and draw the page with it."""
    for run in services.jobs().list():
        ended = services.jobs().wait(run.id, 120)
        assert (ended.status, ended.error) == ("done", None)
    return sound(page.run())


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "SECONDS", 0.2)
    monkeypatch.setattr(timings, "SECONDS_EACH", 0.05)


@pytest.mark.sweep
def test_a_plan_is_measured_beside_the_unpruned_network(studio: Open) -> None:
    page = sound(studio("prune", view="Latency"))
    move(page, "ratio_all", 80)
    assert "not been timed yet (1 image" in texts(page)
    page.button(key="latency_measure").click().run()
    assert page.button(key="latency_measure").disabled  # under way
    page = done(page)
    labels = {m.label: m.value for m in page.metric}
    assert {"This plan", "Unpruned", "Speedup"} <= set(labels)
    history = page.session_state["session"].history
    loaded = workbench.bench(history.subject)
    plan, cost = workbench.plan_at(loaded, history.decisions)
    relative = timings.relative(loaded)
    assert set(relative) == {"baseline", plan.digest}
    assert relative["baseline"] == 1
    assert float(labels["Speedup"]) == pytest.approx(1 / relative[plan.digest], abs=0.006)
    fewer = next(m.delta for m in page.metric if m.label == "Speedup")
    assert fewer == f"{1 / cost.macs_ratio:.2f} times fewer MACs"
    assert page.button(key="latency_measure").label == "Measure again"
    # Another plan has no time yet: the axis says so and offers to measure it.
    move(page, "ratio_all", 40)
    assert "not been timed yet" in texts(page)
    page.segmented_control(key="view").set_value("Trade-off").run()
    page.segmented_control(key="axis").set_value("latency").run()
    sound(page)
    assert page.button(key="latency_missing").label.startswith("Measure the visited plan")


@pytest.mark.sweep
def test_time_against_width_and_a_width_taken_up(studio: Open) -> None:
    page = sound(studio("prune", view="Latency"))
    group = page.selectbox(key="latency_group").value
    page.button(key="latency_widths").click().run()
    page = done(page)
    history = page.session_state["session"].history
    loaded = workbench.bench(history.subject)
    known = timings.widths(loaded, group, Setting(1, max(1, cores() - 1)))
    assert known is not None
    assert known[1].widths[0] == loaded.graph.group(group).width
    assert "as in the current plan" in texts(page) or "no width" in texts(page)
    offered = [b for b in page.button if (b.key or "").startswith("latency_take_")]
    assert len(offered) == len(known[1].steps) - 1
    if offered:
        kept = int(offered[0].key.rsplit("_", 1)[1])
        offered[0].click().run()
        decisions = sound(page).session_state["session"].history.decisions
        plan, _ = workbench.plan_at(loaded, decisions)
        assert loaded.graph.group(group).width - len(plan.by_group()[group]) == kept


def test_fewer_macs_that_are_not_faster_are_told(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = sound(studio("prune", view="Latency"))
    move(page, "ratio_all", 50)
    history = page.session_state["session"].history
    loaded = workbench.bench(history.subject)
    plan, cost = workbench.plan_at(loaded, history.decisions)
    same = (0.009, 0.01, 0.011)
    measurements = (
        Timing("baseline", same, cost.baseline_macs),
        Timing(plan.digest, same, cost.macs),
    )
    measured = Latency(measurements, (3, 32, 32), 1, 1)
    monkeypatch.setattr(timings, "measured", lambda *_: {t.name: measured for t in measurements})
    sound(page.run())
    assert "not measurably faster at batch size 1" in texts(page)


@pytest.mark.sweep
def test_times_of_one_setting_only_are_put_side_by_side(studio: Open) -> None:
    studio("prune")
    loaded = workbench.bench(Subject())
    plans = [pv.Plan(loaded.graph).drop("conv1", [i]) for i in (0, 1)]
    for plan, how in zip(plans, (Setting(1, 1), Setting(4, 1)), strict=True):
        spec = timings.plans_spec(loaded, [plan], how, "me")
        assert services.jobs().wait(services.jobs().submit(spec), 120).status == "done"
    assert set(timings.measured(loaded, Setting(1, 1))) == {"baseline", plans[0].digest}
    assert set(timings.relative(loaded)) == {"baseline", plans[1].digest}  # the newest setting
    assert timings.known(timings.relative(loaded), None) == 1
    assert timings.known(timings.relative(loaded), plans[0]) is None
    assert timings.unmeasured([*plans, plans[0]], timings.relative(loaded)) == [plans[0]]

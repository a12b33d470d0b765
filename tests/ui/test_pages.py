"""Every page in every state, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.errors import StorageUnreachableError
from pruneviz.jobs import plan_steps
from pruneviz.session import session
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.previews import measure_repaired
from pruneviz.ui.frame import loading, services, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import find, move, sound, texts

PAGES = ("choose", "rank", "sensitivity", "prune", "explain", "runs", "export", "lessons", "help")


def settle(page: AppTest) -> AppTest:
    """Wait until the accuracies that the page asked for are there, and draw it with them."""
    history = page.session_state["session"].history
    loaded = workbench.bench(history.subject)
    plan, _ = workbench.plan_at(loaded, history.decisions)
    for wanted in (None, plan):
        services.previews().wait(loaded, wanted)
    return sound(page.run())


@pytest.mark.parametrize("name", PAGES)
def test_first_visit(studio: Open, name: str) -> None:
    page = sound(studio(name))
    assert page.title[0].value == name.title()
    assert "Filters pruned" in texts(page)
    assert "0 of 400" in texts(page)
    assert page.button(key="undo").disabled


def test_choose_shows_the_baseline_and_one_thing_to_do(studio: Open) -> None:
    page = settle(studio("choose"))
    accuracy = next(m for m in page.metric if m.label.startswith("Accuracy"))
    assert float(accuracy.value.split("\N{NARROW NO-BREAK SPACE}")[0]) > 98
    assert any(b.label.startswith("Prune the lowest") for b in page.button)
    assert page.selectbox[0].value == "resnet20"
    assert "Measuring 27 plans: " in texts(page)  # the chart is empty at first


@pytest.mark.slow
def test_choose_takes_another_network_up(studio: Open) -> None:
    page = sound(studio("choose"))
    page.selectbox[0].set_value("mobilenet_v2").run()
    next(b for b in page.button if b.label == "Load").click().run()
    sound(page)
    assert page.session_state["session"].subject.model == "mobilenet_v2"
    assert "0 of 400" not in texts(page)


def test_global_slider_moves_costs_and_undo_brings_them_back(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 50)
    sound(page)
    assert page.session_state["session"].history.decisions.ratio == 0.5
    page = settle(page)
    assert "200 of 400" in texts(page)
    assert "points" in texts(page)
    page.button(key="undo").click().run()
    assert "0 of 400" in texts(page)
    assert find(page, "ratio_all").value == 0
    page.button(key="redo").click().run()
    assert "200 of 400" in texts(page)


def test_what_takes_long_may_first_be_asked_for_by_a_part_of_the_page(studio: Open) -> None:
    # The place for it is the whole page's, and there only while that is drawn: a part of the page
    # that wrote to it later would be refused.
    page = sound(studio("prune"))
    assert loading.PLACE not in page.session_state
    with loading.loading("A moment") as place:
        place.progress(0.5, "half")


def test_what_goes_wrong_in_a_part_is_a_sentence_there() -> None:
    def script() -> None:
        import streamlit as st

        from pruneviz.errors import DataError
        from pruneviz.ui.frame import error_boundary

        @error_boundary.fragment(key="part")
        def part(kind: str) -> None:
            if st.button(kind):
                raise DataError("No image.") if kind == "known" else ZeroDivisionError("by zero")

        part("known")

    page = AppTest.from_function(script).run()
    page.button[0].click().run()
    assert not page.exception
    assert page.error[0].value == "No image."


def test_group_slider_lock_scope_and_multiple(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio1", 50)
    assert "8 of 400" in texts(sound(page))
    move(page, "scope", "group", "segmented_control")
    move(page, "lock1", True, "checkbox")
    decisions: Decisions = sound(page).session_state["session"].history.decisions
    assert decisions.scope == "group"
    assert len(decisions.protected) == 1
    assert find(page, "ratio1").disabled
    move(page, "ratio_all", 30)
    move(page, "multiple", 8, "selectbox")
    sound(page)
    loaded = workbench.bench(Subject())
    plan, _ = workbench.plan_at(loaded, page.session_state["session"].history.decisions)
    for group in loaded.graph.prunable_groups:
        left = group.width - len(plan.by_group().get(group.name, ()))
        assert left % 8 == 0
        assert group.name not in decisions.protected or left == group.width


@pytest.mark.slow
@pytest.mark.parametrize(
    "view", ["Trade-off", "Network", "Costs", "Classes", "History", "Prunability"]
)
def test_every_view_of_prune(studio: Open, view: str) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 40)
    page.segmented_control(key="view").set_value(view).run()
    page = settle(page)
    if view == "History":
        assert any("fisher 40 %" in b.label for b in page.button)
    if view == "Prunability":
        assert "feeds the network's output" in page.dataframe[0].value["why"].tolist()
    if view == "Classes":
        assert "images and gains" in texts(page)


def test_history_goes_back_and_branches(studio: Open) -> None:
    page = sound(studio("prune"))
    for value in (20, 60):
        move(page, "ratio_all", value)
    page.segmented_control(key="view").set_value("History").run()
    start = next(b for b in page.button if "nothing pruned" in b.label)
    start.click().run()
    assert "0 of 400" in texts(sound(page))
    move(page, "ratio_all", 10)
    page.run()
    history = sound(page).session_state["session"].history
    assert len(history.steps) == 4
    assert [d for d, _ in history.tree()] == [0, 0, 0, 1]


@pytest.mark.slow
def test_a_plan_that_would_break_the_network_is_refused(studio: Open) -> None:
    page = sound(studio("rank"))
    loaded = workbench.bench(Subject())
    group = loaded.graph.prunable_groups[1]
    decisions = Decisions(dropped=frozenset(group.units[:-1]))
    page.session_state["session"].take((decisions, "nearly all"))
    page.run()

    def drop_last() -> None:
        from pruneviz.session import decisions
        from pruneviz.session.decisions import Subject
        from pruneviz.ui.frame import actions, state, workbench

        group = workbench.bench(Subject()).graph.prunable_groups[1]
        now = state.history().decisions
        last = frozenset([group.units[-1]])
        actions.take(decisions.drop_by_hand(now, last, "the last one"))
        actions.show_refusal()

    script = AppTest.from_function(drop_last, default_timeout=60)
    script.session_state["session"] = page.session_state["session"]
    script.run()
    assert "at least one must stay" in script.toast[0].value
    assert script.session_state["session"].history.decisions == decisions


@pytest.mark.slow
def test_rank_details_follow_the_layer_and_the_criterion(studio: Open) -> None:
    page = sound(studio("rank"))
    page.selectbox(key="layer").set_value("layer2.1.conv1").run()
    find(page, "criterion", "selectbox").set_value("l1").run()
    sound(page)
    assert page.session_state["session"].history.decisions.criterion == "l1"
    threshold = next(s for s in page.slider if s.label.startswith("Threshold"))
    threshold.set_value(25).run()
    assert "8 of 400" in texts(sound(page))


def test_a_threshold_that_prunes_as_many_as_are_pruned_is_no_step(studio: Open) -> None:
    """A slider that follows a manual pick reports its new position; Undo would lead only there."""
    page = sound(studio("rank", layer="layer1.0.conv1"))
    page.button(key="decide").click().run()
    before = sound(page).session_state["session"].history
    threshold = next(s for s in page.slider if s.label.startswith("Threshold: 1 of 16"))
    threshold.set_value(threshold.value + 1).run()
    assert sound(page).session_state["session"].history == before
    page.button(key="undo").click().run()
    assert "0 of 400" in texts(sound(page.run()))


@pytest.mark.slow
def test_address_brings_the_plan_back_with_its_history(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 30)
    page.run()
    address = page.session_state["session"].history.current
    assert address in str(page.query_params["at"])
    again = sound(studio("prune", at=address))  # another visitor, or the same after a restart
    assert "120 of 400" in texts(again)
    history = again.session_state["session"].history
    assert [s.label for s in history.line()] == ["nothing pruned", "fisher 30 % over all groups"]
    assert again.session_state["session"].visitor != page.session_state["session"].visitor


@pytest.mark.slow
def test_a_plan_that_cannot_be_saved_is_told_and_saved_later(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = sound(studio("prune"))

    def away(*_: object) -> None:
        raise StorageUnreachableError("The database at db:5432/x cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(plan_steps, "keep", away)
        find(page, "ratio_all").set_value(30).run()
        page.run()
        (told,) = page.error
        assert told.value.startswith("The plan's history is not saved yet, so keep this page open.")
        assert "db:5432/x cannot be reached" in told.value
        assert "120 of 400" in texts(page)
        assert "at" not in page.query_params
    monkeypatch.setattr(services.steps(), "_rest_until", 0.0)
    sound(page.run())
    address = page.session_state["session"].history.current
    assert address in str(page.query_params["at"])
    assert "120 of 400" in texts(sound(studio("prune", at=address)))


def test_unknown_address_is_told_and_left_out(studio: Open) -> None:
    page = sound(studio("choose", at="0123456789ab"))
    assert "not stored here" in page.toast[0].value
    assert "0 of 400" in texts(page)


def test_what_cannot_be_loaded_is_a_sentence_and_the_plan_stays(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 30)
    wrong = Subject("resnet20", "/nowhere/weights.pt")
    page.session_state["session"].choose(wrong)
    page.run()
    assert not page.exception
    assert "/nowhere/weights.pt" in texts(page)
    page.session_state["session"].choose(Subject())
    page.run()
    assert "120 of 400" in texts(sound(page))


def test_two_visitors_do_not_see_each_others_plan(studio: Open) -> None:
    one, two = sound(studio("prune")), sound(studio("prune"))
    move(one, "ratio_all", 70)
    two.run()
    assert "280 of 400" in texts(one)
    assert "0 of 400" in texts(two)


@pytest.mark.slow
def test_export_gives_files_that_load_again(studio: Open, tmp_path: Path) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 40)
    export = sound(studio("export", like=page))
    assert any("pv.Plan.from_json" in code.value for code in export.code)
    found = export.session_state["bundle"]["bundle"]
    (tmp_path / "x.zip").write_bytes(found.zip())
    from pruneviz.export import load_bundle
    from pruneviz.training import evaluate

    loaded = workbench.bench(Subject())
    plan, _ = workbench.plan_at(loaded, page.session_state["session"].history.decisions)
    network = load_bundle(tmp_path / "x.zip")
    same = evaluate(network, loaded.data, limit=loaded.preview_images)
    assert same.accuracy == measure_repaired(loaded, plan).accuracy


@pytest.mark.slow
def test_the_oracle_runs_in_the_background_and_can_then_be_chosen(studio: Open) -> None:
    page = sound(studio("rank"))
    page.session_state["rank_tab"] = "Two criteria"
    sound(page.run())
    assert not any("oracle" in name for name in find(page, "criterion", "selectbox").options)
    page.button(key="compute_oracle").click().run()
    assert page.button(key="compute_oracle").disabled
    jobs = services.jobs()
    (run,) = jobs.list()
    assert jobs.wait(run.id, 300).status == "done"
    sound(page.run())
    assert any("oracle" in name for name in find(page, "criterion", "selectbox").options)
    second = next(box for box in page.selectbox if box.label == "Compare with")
    second.set_value("oracle").run()
    sound(page)
    assert any(m.label.startswith("Spearman over all") for m in page.metric)


def test_what_a_slider_only_passes_through_is_no_step(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PASSING_SECONDS", 600.0)
    page = sound(studio("prune"))
    for value in (10, 20, 30):
        move(page, "ratio_all", value)
    move(page, "ratio1", 50)
    line = page.session_state["session"].history.line()
    assert [s.label for s in line] == [
        "nothing pruned",
        "fisher 30 % over all groups",
        "layer1.0.conv1 50 %",
    ]
    move(page, "ratio_all", 0)
    assert len(page.session_state["session"].history.steps) == 4


def test_a_filter_is_dropped_and_kept_without_a_mouse(studio: Open) -> None:
    page = sound(studio("rank", layer="layer1.0.conv1"))
    page.selectbox(key="filter").set_value(3).run()
    page.button(key="decide").click().run()
    assert "1 of 400" in texts(sound(page))
    assert page.session_state["session"].history.step.label == "pruned filter 3 of layer1.0.conv1"
    assert page.button(key="decide").label == "Keep filter 3"
    page.button(key="decide").click().run()
    assert "0 of 400" in texts(sound(page))


@pytest.mark.slow
def test_the_best_plan_for_a_budget_is_one_step(studio: Open) -> None:
    page = sound(studio("prune"))
    page.number_input(key="budget_macs").set_value(50).run()
    sound(page.button(key="budget_go").click().run(timeout=200))
    session = page.session_state["session"]
    loaded = workbench.bench(session.history.subject)
    plan, cost = workbench.plan_at(loaded, session.history.decisions)
    assert 0.4 < cost.macs_ratio <= 0.5
    assert session.history.step.label == "best plan for 50% of the MACs"
    assert len(session.history.steps) == 2
    assert measure_repaired(loaded, plan).accuracy > 0.97

"""A finished run and the plan it trained: the bar and the trade-off say the same of both."""

from __future__ import annotations

import time

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.plan import Plan
from pruneviz.session import fine_tuned
from pruneviz.session.background import Answer
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.prune import points
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts
from tests.ui.populated import populate


def bar_of(page: AppTest) -> str:
    said = [str(h.proto.body) for h in page.get("html")]
    return next(x for x in said if "pv-bar" in x).replace("\N{NARROW NO-BREAK SPACE}", " ")


def take(page: AppTest, dropped: frozenset[int]) -> str:
    page.session_state["session"].take((Decisions(dropped=dropped), "by hand"))
    return bar_of(sound(page.run()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prune", pytest.param("export", marks=pytest.mark.sweep)])
def test_the_bar_has_what_a_run_made_of_the_plan_in_hand(studio: Open, name: str) -> None:
    page = studio(name)
    assert "Fine-tuned" not in bar_of(page), "nothing has run"
    populate()
    loaded = workbench.bench(Subject())
    tuned = frozenset(Plan(loaded.graph).drop("layer1.0.conv1", [0, 3]).dropped)
    count = len(loaded.data.val)
    said = take(page, tuned)
    assert f"Fine-tuned, on {count} images" in said
    assert "<b>80.0 %</b>" in said
    assert "(76.3 to 83.3)" in said, "Wilson's interval of 80 % of 500 images"
    assert 'title="front"' in said, "the newest run of this plan"
    assert "Fine-tuned" not in take(page, tuned | {7}), "another plan"


@pytest.mark.sweep
def test_a_damaged_result_hides_no_bar(studio: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = studio("prune")
    populate()
    damaged = {"after": {"accuracy": "much"}}
    monkeypatch.setattr(services.jobs(), "results", lambda run: damaged)
    assert "Fine-tuned" not in bar_of(page.run())


@pytest.mark.sweep
def test_the_trade_off_never_mixes_counts_of_images(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans of a large network are previewed on few images, runs are measured on all."""
    studio("prune")
    populate()
    loaded = workbench.bench(Subject())
    assert {p.accuracy for p in points.of_runs(loaded).points} == {0.8}, "as the runs say"
    monkeypatch.setattr(loaded, "preview_images", 60)
    with monkeypatch.context() as slow:
        slow.setattr(fine_tuned, "on_preview_images", lambda *_: Answer())
        assert not points.of_runs(loaded).points
        assert "Measuring 2 runs on the 60 images" in texts(studio("prune"))
    until = time.monotonic() + 60
    while (found := points.of_runs(loaded)).pending and time.monotonic() < until:
        time.sleep(0.05)
    assert not found.errors
    assert [p.images for p in found.points] == [60, 60]
    assert {p.accuracy for p in found.points} != {0.8}, "measured, not taken from the record"
    said = texts(sound(studio("prune")))
    assert "on the same 60 of 500 validation images" in said


@pytest.mark.sweep
def test_a_run_without_weights_is_left_out_of_it_with_a_sentence(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio("prune")
    populate()
    loaded = workbench.bench(Subject())
    monkeypatch.setattr(loaded, "preview_images", 70)
    for run in fine_tuned.finished(services.jobs(), loaded):
        (services.jobs().files(run.id) / "weights.safetensors").unlink()
    until = time.monotonic() + 60
    while (found := points.of_runs(loaded)).pending and time.monotonic() < until:
        time.sleep(0.05)
    assert not found.points
    assert all("weights.safetensors) are gone; run it again." in e for e in found.errors)
    assert "Left out: " in texts(sound(studio("prune")))


def test_export_still_offers_the_run_after_another_page(studio: Open) -> None:
    """Streamlit forgets a list's choice with its page: the plan without its training came up."""
    page = studio("export")
    populate()
    tuned = Plan(workbench.bench(Subject()).graph).drop("layer1.0.conv1", [0, 3]).dropped
    take(page, frozenset(tuned))
    offered = page.session_state["export_which"]
    assert "fine-tuned" in page.selectbox(key="export_which").format_func(offered)
    later = studio("export", page)
    assert sound(later).session_state["export_which"] == offered

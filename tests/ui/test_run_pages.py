"""The page Runs with more runs than one page shows: page after page, and filtered."""

from __future__ import annotations

from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.ui.frame import services
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import choosing
from tests.ui.conftest import Open
from tests.ui.helpers import sound


def fill(count: int) -> None:
    store = services.jobs().store
    for number in range(count):
        spec = RunSpec(
            "fine_tune",
            model={"name": ("resnet20", "vgg16")[number % 2], "weights": "digits"},
            data={"name": "digits", "options": {}},
            options={"epochs": 1},
            name=f"run {number:02d}",
        )
        mine = claim(store, store.create(spec, submitter="test").id)
        assert mine is not None
        mine.finish("done" if number % 3 else "failed", error=None)


def fill_study(count: int, parent: str = "race-1", tag: str = "Race: resnet20 on digits") -> None:
    store = services.jobs().store
    for number in range(count):
        spec = RunSpec(
            "race",
            model={"name": "resnet20", "weights": "digits"},
            data={"name": "digits", "options": {}},
            options={"strategy": "uniform", "seed": number},
            name=f"run {number:02d}",
            parent=parent,
            tag=tag,
        )
        mine = claim(store, store.create(spec, submitter="test").id)
        assert mine is not None
        mine.finish("done" if number else "failed", error=None)


def cards(page) -> list[str]:
    titles = [m.value for m in page.markdown if m.value.startswith("**run ")]
    return [title.partition("**run ")[2][:2] for title in titles]


def captions(page) -> str:
    return "\n".join(caption.value for caption in page.caption)


def test_few_runs_are_shown_as_ever(studio: Open) -> None:
    fill(3)
    page = sound(studio("runs"))
    assert cards(page) == ["02", "01", "00"]
    assert "Older" not in [button.label for button in page.button]


def test_many_runs_come_page_after_page(studio: Open, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "PAGE", 3)
    fill(7)
    page = sound(studio("runs"))
    seen = [cards(page)]
    assert "Runs 1 to 3 of 7" in captions(page)
    for _ in range(2):
        page.button(key="runs_Older").click()
        seen.append(cards(sound(page.run())))
    assert seen == [["06", "05", "04"], ["03", "02", "01"], ["00"]]
    assert page.button(key="runs_Older").disabled
    page.selectbox(key="runs_by_network").select("vgg16")
    page.selectbox(key="runs_by_status").select("done")
    page = sound(page.run())
    assert cards(page) == ["05", "01"]
    assert "Runs 1 to 2 of 2 that match, 7 in all" in captions(page)
    page.selectbox(key="runs_by_status").select("queued")
    page = sound(page.run())
    assert cards(page) == []
    assert "No run matches" in captions(page)


def test_the_runs_of_a_study_lie_behind_one_line(studio: Open, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "PAGE", 4)
    fill(2)
    fill_study(6)
    page = sound(studio("runs"))
    assert cards(page) == ["01", "00"], "those of no study; the others once their line is opened"
    (line,) = (e.label for e in page.expander if e.label.startswith("**Race"))
    assert line == (
        "**Race: resnet20 on digits** · 6 runs :green-badge[5 done] :red-badge[1 failed]"
    )
    page.session_state["study_race-1"] = True
    page = sound(page.run())
    assert cards(page) == ["05", "04", "03", "02", "01", "00"]
    page.button(key="all_race-1").click()
    page = sound(page.run())
    assert cards(page) == ["05", "04", "03", "02"]
    assert "Runs 1 to 4 of 6 that match, 8 in all" in captions(page)
    page.button(key="runs_Older").click()
    assert cards(sound(page.run())) == ["01", "00"]
    page.selectbox(key="runs_by_tag").select("any")
    page.selectbox(key="runs_by_status").select("failed")
    page = sound(page.run())
    assert "Runs and studies 1 to 2 of 2 that match, 3 in all" in captions(page)


def test_a_tag_is_typed_on_the_card_and_filters(studio: Open, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "PAGE", 3)
    fill(4)
    run = services.jobs().list()[1]
    page = sound(studio("runs"))
    page.text_input(key=f"tag_{run.id}").set_value("home_work")
    page = sound(page.run())
    assert any(f"-badge[{plain('home_work')}]" in m.value for m in page.markdown)
    page.selectbox(key="runs_by_tag").select("home_work")
    assert cards(sound(page.run())) == ["02"]

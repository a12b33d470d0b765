"""The page Runs with more runs than one page shows: page after page, and filtered."""

from __future__ import annotations

from pruneviz.jobs import RunSpec
from pruneviz.jobs.leases import claim
from pruneviz.ui.frame import services
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

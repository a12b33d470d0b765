"""Every lesson played to its end, in a real browser: predict, do, see, go on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pruneviz.lessons import Lesson, lesson, names
from tests.browser.controls import pick
from tests.browser.test_journeys import WHOLE, go_to, press

pytestmark = [pytest.mark.browser, pytest.mark.sweep, pytest.mark.timeout(900)]

Act = Callable[[Any], object]


def nothing(_page: Any) -> None:
    """The step asks for no more than what is done already."""


def prune(percent: int, *, group: str | None = None) -> Act:
    """Move the slider for all groups, or one group's, by keyboard."""

    def act(page: Any) -> None:
        slider = page.get_by_role("slider", name=group or WHOLE).first
        slider.wait_for()
        now = int(re.match(r"\d+", slider.get_attribute("aria-valuetext")).group())
        slider.focus()
        for _ in range(abs(percent - now)):
            page.keyboard.press("ArrowRight" if percent > now else "ArrowLeft")

    return act


def choose(label: str, option: str) -> Act:
    """Choose from a list of the page."""

    def act(page: Any) -> None:
        pick(page, label, option)

    return act


def open_layer(name: str) -> Act:
    """Choose a layer on the page Rank, and wait until the page shows it."""

    def act(page: Any) -> None:
        choose("Layer", name)(page)
        page.wait_for_url(f"**layer={name}**")

    return act


def view(name: str) -> Act:
    return lambda page: page.get_by_role("radio", name=name, exact=True).click()


def both(*acts: Act) -> Act:
    def act(page: Any) -> None:
        for one in acts:
            one(page)
            page.wait_for_timeout(1500)  # a hand, not a machine: a step each

    return act


def fine_tune(page: Any) -> None:
    page.get_by_role("spinbutton", name="Epochs").fill("1")
    page.keyboard.press("Tab")
    press(page, "Start")
    page.get_by_text("done", exact=True).first.wait_for(timeout=400_000)


def click_a_map(page: Any) -> None:
    page.get_by_role("button", name=re.compile("^conv1, filter")).nth(2).click()


def draw(page: Any) -> None:
    """A stroke from top to bottom: a one."""
    page.get_by_role("radio", name="Draw", exact=True).click()
    place = page.get_by_label("A field to draw a digit in")
    place.wait_for()
    page.wait_for_timeout(1000)  # the page has come to rest
    box = place.bounding_box()
    x, y, height = box["x"] + box["width"] / 2, box["y"], box["height"]
    page.mouse.move(x, y + 0.2 * height)
    page.mouse.down()
    page.mouse.move(x, y + 0.8 * height, steps=8)
    page.mouse.up()


ACTS: dict[str, tuple[Act, ...]] = {
    "1-pruning-in-ten-minutes": (nothing, prune(50), nothing, prune(80), prune(50), nothing),
    "2-what-a-filter-is": (
        choose("Layer", "conv1"),
        nothing,
        choose("Validation image", "3: "),
        choose("Layer", "layer3.0.conv1"),
        click_a_map,
        view("Difference"),
        draw,
    ),
    "3-why-coupled-channels-go-together": (
        nothing,
        lambda page: press(page, "Prune filter"),
        both(open_layer("layer1.0.conv1"), lambda page: press(page, "Prune filter")),
        lambda page: press(page, "Clear 2 manual picks"),
        prune(50, group="stage 1 stream"),
        view("Prunability"),
    ),
    "4-why-l1-is-not-the-truth": (
        choose("Criterion", "(l1)"),
        lambda page: page.get_by_role("tab", name="Two criteria").click(),
        view("Remove one filter"),
        both(prune(40), choose("Criterion", "(fisher)")),
        nothing,
        choose("Criterion", "(random)"),
    ),
    "5-cut-repair-fine-tune": (prune(70), nothing, view("Classes"), fine_tune, nothing),
    "6-fewer-macs-are-not-always-faster": (
        prune(50),
        view("Costs"),
        both(view("Latency"), lambda page: press(page, "Measure")),
        choose("Round widths", "8"),
        lambda page: press(page, "Measure this plan"),
    ),
}


def test_every_lesson_has_its_acts() -> None:
    assert {name: len(acts) for name, acts in ACTS.items()} == {
        name: len(lesson(name).steps) for name in names()
    }


@pytest.mark.parametrize("name", names())
def test_a_lesson_is_played_to_its_end(address: str, page: Any, name: str) -> None:
    found = lesson(name)
    page.goto(f"{address}/lessons")
    page.get_by_test_id("stMain").get_by_role("heading", name=found.title).wait_for()
    page.get_by_role("button", name="Begin").nth(names().index(name)).click()
    for number, act in enumerate(ACTS[name]):
        play(page, found, number, act)
    page.get_by_role("button", name="Finish").wait_for(state="detached")


def play(page: Any, found: Lesson, number: int, act: Act) -> None:
    step, last = found.steps[number], number + 1 == len(found.steps)
    aside = page.get_by_test_id("stSidebar")
    aside.get_by_text(f"step {number + 1} of {len(found.steps)}").wait_for()
    if number and found.steps[number - 1].page != step.page:
        go_to(page, step.page.title())
    if step.ask:
        aside.get_by_text(step.choices[step.right], exact=True).click()
        aside.get_by_role("button", name="Submit prediction").click()
        aside.get_by_text("Submit prediction").wait_for(state="detached")
    act(page)
    onward = aside.get_by_role("button", name="Finish" if last else "Next")
    onward.and_(page.locator(":enabled")).wait_for(timeout=60_000)
    if step.ask:
        aside.get_by_text("You were right.").wait_for()
    assert "…" not in aside.inner_text(), "what is revealed has its figures"
    onward.click()

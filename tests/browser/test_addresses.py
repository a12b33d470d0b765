"""What an address says and does, in a real browser: AppTest has neither address nor back button."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.controls import pick
from tests.browser.test_journeys import WHOLE, drop, go_to, open_prune, press, wait_for_bar

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

VIEWS = ("Network", "Costs", "Latency", "Classes", "History", "Prunability")


def fine_tune(page: Any) -> None:
    page.get_by_role("button", name="Fine-tune", exact=True).first.click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()


@pytest.mark.sweep
def test_fine_tune_leads_to_the_runs_from_every_view(address: str, page: Any) -> None:
    open_prune(page, address)
    drop(page, 20)
    for view in VIEWS:
        page.get_by_role("radio", name=view, exact=True).click()
        page.wait_for_url(re.compile(f"view={view}"))
        fine_tune(page)
        go_to(page, "Prune")
    page.goto(f"{page.url.split('?')[0].rsplit('/', 1)[0]}/rank?layer=layer2.1.conv1")
    wait_for_bar(page, "0 of 400")
    page.get_by_role("button", name="Prune filter").first.click()
    wait_for_bar(page, "1 of 400")
    fine_tune(page)


@pytest.mark.sweep
def test_a_network_that_was_taken_up_stays(address: str, page: Any) -> None:
    """A part of the page asks for itself while the new network loads, with the former address."""
    page.goto(address)
    press(page, "Prune the lowest")  # from here on there is an address
    page.wait_for_url(re.compile("at="))
    go_to(page, "Choose")
    for network in ("vgg16", "mobilenet_v2", "resnet20"):
        pick(page, "Network", re.compile(f"^{network} "))
        title = page.get_by_role("button", name=re.compile(r"\bLoad$"))
        title.first.click()
        title.first.wait_for()
        page.wait_for_timeout(4000)
        shown = page.get_by_role("combobox", name="Network").input_value()
        assert shown.startswith(network)
        assert title.first.is_disabled(), "it is in hand"


@pytest.mark.sweep
def test_a_plan_that_was_measured_before_has_its_address_and_its_point(
    address: str, page: Any
) -> None:
    """Nothing was to be waited for, so the page was never drawn with it: a reload lost it."""
    open_prune(page, address)
    slider = page.get_by_role("slider", name=WHOLE).first
    slider.press("End")
    wait_for_bar(page, "points")
    page.wait_for_url(re.compile("at="))
    plan = page.url
    press(page, "Undo")
    wait_for_bar(page, "0 of 400")
    page.wait_for_url(lambda url: "at=" not in url)
    page.get_by_role("slider", name=WHOLE).first.press("End")
    page.wait_for_url(plan)
    page.reload()
    wait_for_bar(page, "380 of 400")


LATE = """
const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
  addEventListener(name, hear, options) {
    const waiting = [];  // so that none overtakes another
    const later = message => {
      waiting.push(message);
      setTimeout(() => hear.call(this, waiting.shift()), window.lateness || 0);
    };
    super.addEventListener(name, name === "message" ? later : hear, options);
  }
};
"""
"""Has the browser hear `window.lateness` milliseconds late of what the server says."""


@pytest.mark.slow
def test_a_page_that_is_left_late_does_not_empty_the_next_one(address: str, page: Any) -> None:
    """While a run is under way the bar asks for itself, also until the browser knows of the page
    that follows.
    """
    errors: list[object] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.add_init_script(LATE)
    open_prune(page, address)
    drop(page, 30)
    page.wait_for_url(re.compile("at="))
    fine_tune(page)
    page.get_by_role("spinbutton", name="Epochs").first.fill("100")
    page.keyboard.press("Enter")
    press(page, "Start")
    page.get_by_role("button", name="Cancel").first.wait_for()
    go_to(page, "Prune")
    wait_for_bar(page, "before repair")
    page.wait_for_timeout(2000)  # the page is at rest
    page.evaluate("window.lateness = 2000")
    fine_tune(page)
    page.wait_for_timeout(6000)
    assert not errors
    page.get_by_role("button", name="Cancel").first.click()


def test_a_page_that_the_browser_gave_up_comes_back(address: str, page: Any) -> None:
    open_prune(page, address)
    drop(page, 20)
    page.wait_for_url(re.compile("at="))
    page.evaluate(
        """() => {
          document.querySelector("#root").replaceChildren();
          window.dispatchEvent(new ErrorEvent("error"));
        }"""
    )
    page.get_by_role("heading", name="Prune", exact=True).wait_for()
    wait_for_bar(page, "80 of 400")


@pytest.mark.sweep
def test_the_back_button_goes_back_to_the_former_plan(address: str, page: Any) -> None:
    open_prune(page, address)
    drop(page, 20)
    wait_for_bar(page, "points")
    page.wait_for_url(re.compile("at="))
    before = page.url
    drop(page, 40)
    wait_for_bar(page, "160 of 400")
    wait_for_bar(page, "points")
    page.wait_for_url(lambda url: url != before)
    page.go_back()
    wait_for_bar(page, "80 of 400")

"""No serious finding of axe-core: every page as it opens, every view with a plan, tabs opened."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.test_journeys import drop, open_prune

pytestmark = [pytest.mark.browser, pytest.mark.sweep, pytest.mark.timeout(900)]
PAGES = ("choose", "rank", "sensitivity", "prune", "explain", "runs", "export", "lab", "lessons")
VIEWS = (
    *("prune?view=Network", "prune?view=Costs", "prune?view=Latency", "prune?view=Classes"),
    *("prune?view=History", "prune?view=Prunability"),
    *("explain?explain=What+it+looks+at", "explain?explain=New+and+fixed+errors"),
    "explain?explain=Remove+one+filter",
)
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def axe() -> Any:
    """axe-core, asked in a page."""
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def serious(axe: Any, page: Any, where: str) -> list[str]:
    """What axe finds wrong on the page as it is; with pictures and charts that have no words."""
    page.wait_for_timeout(2000)
    without = page.evaluate(
        """() => [...document.querySelectorAll("img, canvas, svg.main-svg")]
          .filter(one => one.checkVisibility() && !one.closest("[aria-hidden=true]"))
          .filter(one => !one.closest("[data-testid=stDataFrame]"))  // has a table within
          .filter(one => !one.closest("[aria-label], [role=img], [alt]:not([alt=''])"))
          .map(one => one.outerHTML.slice(0, 120))"""
    )
    return [
        f"{where}: {v['id']}: {[node['html'][:160] for node in v['nodes']][:3]}"
        for v in axe.run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
    ] + [f"{where}: without words: {one}" for one in without]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_as_it_opens(address: str, page: Any, axe: Any, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    wrong = []
    for name in PAGES:
        page.goto(f"{address}/{name}")
        page.get_by_role("heading", name=name.title(), exact=True).wait_for()
        page.locator(".pv-bar").get_by_text("99.0").first.wait_for()
        wrong += serious(axe, page, name)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", None), ("dark", None), ("light", PHONE), ("dark", PHONE)]
)
def test_every_view_with_a_plan(
    address: str, page: Any, axe: Any, scheme: Any, size: dict[str, int] | None
) -> None:
    page.emulate_media(color_scheme=scheme)
    open_prune(page, address)
    drop(page, 30)
    page.wait_for_url(re.compile("at="))
    at = re.search(r"at=(\w+)", page.url).group(0)
    if size:
        page.set_viewport_size(size)
    wrong = []
    for where in (*PAGES, *VIEWS, "help"):
        page.goto(f"{address}/{where}{'&' if '?' in where else '?'}{at}")
        heading = where.split("?")[0].title()
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        page.get_by_text("120 of 400", exact=True).first.wait_for(state="attached")
        wrong += serious(axe, page, where)
        for tab in page.get_by_role("tab").all()[1:]:
            if tab.is_visible():
                tab.click()
                wrong += serious(axe, page, f"{where}, {tab.inner_text()}")
    assert not wrong, "\n".join(dict.fromkeys(wrong))

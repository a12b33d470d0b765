"""No serious finding of axe-core on the pages, in their first state."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
PAGES = ("choose", "rank", "sensitivity", "prune", "explain", "runs", "export", "lab", "lessons")


@pytest.mark.sweep
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(address: str, page: Any, scheme: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    wrong = []
    for name in PAGES:
        page.goto(f"{address}/{name}")
        page.get_by_role("heading", name=name.title(), exact=True).wait_for()
        page.locator(".pv-bar").get_by_text("99.0").first.wait_for()
        page.wait_for_timeout(2000)
        wrong += [
            f"{name}: {v['id']}: {[node['html'][:120] for node in v['nodes']][:3]}"
            for v in axe.run(page).response["violations"]
            if v["impact"] in ("serious", "critical")
        ]
    assert not wrong, "\n".join(wrong)

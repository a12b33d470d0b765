"""Presentation mode as the last row sees it: one key, no small type on any page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_journeys import wait_for_bar

pytestmark = [pytest.mark.browser, pytest.mark.sweep, pytest.mark.timeout(600)]

PAGES = ("choose", "rank", "sensitivity", "prune", "explain", "runs", "export", "lab", "lessons")
SMALL = """() => {
  const small = [];
  const look = (root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.shadowRoot) look(node.shadowRoot);
      const parent = node.parentElement;
      if (node.nodeType !== 3 || !node.data.trim() || !parent) continue;
      const style = getComputedStyle(parent), box = parent.getBoundingClientRect();
      if (!box.width || style.visibility === "hidden" || !parent.checkVisibility()) continue;
      if (/^(STYLE|SCRIPT|TITLE)$/.test(parent.tagName)) continue;
      if (/Material/.test(style.fontFamily)) continue;  // an icon
      const size = parseFloat(style.fontSize), least = parent.closest("svg") ? 16 : 20;
      if (size < least - 0.05) small.push(`${size} px: ${node.data.trim().slice(0, 40)}`);
    }
  };
  look(document.body);
  return [...new Set(small)];
}"""


def test_one_key_makes_all_type_large(address: str, page: Any) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto(f"{address}/prune")
    wait_for_bar(page, "99.0")
    assert page.evaluate(SMALL), "it is small before"
    page.keyboard.press("p")
    page.get_by_role("button", name="End presentation").wait_for()
    page.wait_for_url("**present=1**")
    small = []
    for name in PAGES:
        page.goto(f"{address}/{name}?present=1")
        page.get_by_role("heading", name=name.title(), exact=True).wait_for()
        wait_for_bar(page, "99.0")
        page.wait_for_timeout(3000)
        small += [f"{name}: {text}" for text in page.evaluate(SMALL)]
    assert not small, "\n".join(small)
    page.keyboard.press("p")
    page.get_by_role("button", name="End presentation").wait_for(state="hidden")
    page.wait_for_url(lambda url: "present" not in url)

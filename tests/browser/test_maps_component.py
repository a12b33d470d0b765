"""The feature maps' component by itself: it shows what it is given, whatever it showed before."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pruneviz.ui.explain.component import FOLDER

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHOW = """async ([script, data]) => {
  const module = await import("data:text/javascript;base64," + script);
  document.querySelector(".mp") || (document.body.innerHTML = "<div class='mp'></div>");
  for (const one of data)
    module.default({parentElement: document.body, data: one, setTriggerValue: () => {}});
  return [...document.querySelectorAll("button")].map((b) => b.getAttribute("aria-label"));
}"""


def row(layer: str, *filters: int) -> dict[str, Any]:
    size = {"height": 2, "width": 3}
    picture = base64.b64encode(bytes(6 * len(filters))).decode()
    told = {"open": True, "reason": "", "more": 0, "gone": [False] * len(filters)}
    return {"layer": layer, "filters": filters, "bytes": picture, **size, **told}


def test_rows_that_come_and_go_under_one_layout_are_all_shown(page: Any) -> None:
    script = base64.b64encode((FOLDER / "maps.js").read_bytes()).decode()
    one, two = row("conv1", 0, 4), row("conv2", 7)
    given = [{"layout": "same", "rows": rows} for rows in ([], [one, two], [two], [one, two])]
    shown = [{**data, "signed": False, "gone": "red"} for data in given]
    labels = page.evaluate(SHOW, [script, shown])
    assert labels == ["conv1, filter 0", "conv1, filter 4", "conv2, filter 7"]

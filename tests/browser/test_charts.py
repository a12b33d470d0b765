"""Charts as Chromium draws them: on a phone's width, too, nothing lies on anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pruneviz.ui.frame.theme import CONFIG
from tests.figures.gallery import FIGURES

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

OVERLAPS = r"""() => {
  const wrong = [], parts = ['.modebar-group', '.legend .bg', '.gtitle', '.g-xtitle text',
    '.g-ytitle text', '.g-y2title text', '.plotclip', '.xtick text', '.cbtitle'];
  for (const figure of document.querySelectorAll('.js-plotly-plot')) {
    const whole = figure.getBoundingClientRect(), boxes = [];
    for (const kind of parts) for (const part of figure.querySelectorAll(kind)) {
      const box = part.getBoundingClientRect();
      if (box.width && box.height) boxes.push([kind, box, part.textContent]);
    }
    const say = text => wrong.push(`${figure.dataset.name} at ${Math.round(whole.width)}: ${text}`);
    for (const [kind, box, text] of boxes)
      if (box.left < whole.left - 1 || box.right > whole.right + 1 ||
          box.top < whole.top - 1 || box.bottom > whole.bottom + 1)
        if (!/plotclip|xtick/.test(kind)) say(`${kind} is cut off (${text})`);
    for (const tick of figure.querySelectorAll('.ytick text, .xtick text'))
      if (/\d[\u03bcµnpf]$/.test(tick.textContent)) say(`a tick reads ${tick.textContent}`);
    boxes.forEach(([a, one], i) => boxes.slice(i + 1).forEach(([b, two]) => {
      if (a === b) return;
      const wide = Math.min(one.right, two.right) - Math.max(one.left, two.left);
      const high = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
      if (wide > 2 && high > 3) say(`${a} lies on ${b}`);
    }));
  }
  return [...new Set(wrong)];
}"""


@pytest.mark.parametrize("width", [340, 900])
def test_nothing_lies_on_anything_else(page: Any, tmp_path: Path, width: int) -> None:
    from plotly.offline import get_plotlyjs

    places, calls = [], []
    for number, (name, piece) in enumerate(FIGURES.items()):
        figure = piece.draw()
        tall = figure.layout.height
        places.append(
            f'<div id="f{number}" data-name="{name}" style="width:{width}px;height:{tall}px"></div>'
        )
        calls.append(
            f"{{const f = {figure.to_json()}; Plotly.newPlot('f{number}', f.data, f.layout, "
            f"{json.dumps({**CONFIG, 'displayModeBar': True})})}}"
        )
    html = tmp_path / "charts.html"
    html.write_text(
        f"<meta charset='utf-8'><script>{get_plotlyjs()}</script>{''.join(places)}"
        f"<script>{';'.join(calls)}</script>"
    )
    page.goto(html.as_uri())
    page.wait_for_function(
        f"document.querySelectorAll('.js-plotly-plot .modebar').length === {len(FIGURES)}"
    )
    wrong = page.evaluate(OVERLAPS)
    assert not wrong, "\n".join(wrong)

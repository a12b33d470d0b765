"""What the bar says on a wide screen, and what is left of it on a narrow one."""

from __future__ import annotations

import re

from pruneviz.figures.style import MINUS, NARROW
from pruneviz.ui.frame.bar_parts import Part, bar_html, cost_part, runs_html


def brief(html: str) -> str:
    """The text that a narrow screen shows of a folded bar."""
    parts = re.findall(r'<span class="pv-brief">(.*?</b>)</span>', html)
    return " | ".join(re.sub(r"<[^>]+>", "", part) for part in parts)


def test_a_narrow_screen_shows_the_change_in_macs_and_the_accuracy() -> None:
    parts = (
        Part("Filters pruned", "120 of 400"),
        cost_part("MACs", 28_200_000, 40_600_000, brief="MACs"),
        cost_part("Parameters", 166_000, 270_000),
        Part("Top-1, repaired, on 500 images", "98.0 %", "(96.4 to 98.9)", "repaired"),
    )
    html = bar_html(parts, opened=False)
    assert brief(html) == f"MACs {MINUS}31{NARROW}% | repaired 98.0 %"
    assert "pv-folded" in html
    assert "pv-folded" not in bar_html(parts, opened=True)
    for number in ("120 of 400", f"28.2{NARROW}M", f"166{NARROW}k", "(96.4 to 98.9)"):
        assert number in html


def test_a_cost_that_has_not_changed_is_shown_itself() -> None:
    html = bar_html([cost_part("MACs", 40_600_000, 40_600_000, brief="MACs")], opened=False)
    assert brief(html) == f"MACs 40.6{NARROW}M"


def test_a_run_is_a_line_that_says_how_much_is_done() -> None:
    parts = [Part("my <run>", "40 %", "Epoch 2 of 5")]
    html = runs_html(parts, 0.4, "", opened=False)
    (line,) = re.findall(r"<progress[^>]*>", html)
    assert 'value="0.400"' in line
    assert f'aria-label="my &lt;run&gt;: 40{NARROW}% done"' in line
    assert "<run>" not in html
    assert not brief(html), "its name waits behind the fold"

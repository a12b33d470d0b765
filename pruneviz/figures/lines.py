"""Many lines drawn as one trace: quick to draw, one entry in the legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Line = tuple[str, Sequence[float], Sequence[float | None]]
"""Its text, x and y."""


def joined(lines: Iterable[Line]) -> dict[str, list[Any]]:
    """Return x, y and text of a trace: a gap after each line, its text at all of its points."""
    trace: dict[str, list[Any]] = {"x": [], "y": [], "text": []}
    for text, x, y in lines:
        trace["x"] += [*x, None]
        trace["y"] += [*y, None]
        trace["text"] += [text] * (len(x) + 1)
    return trace

"""A figure's text alternative: what a look at it tells, in words, kept with the figure itself.

The studio hands it to screen readers; in a notebook, `told(figure)` gives it. A title alone is no
alternative: the words have the numbers that one would read off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MOST = 4
"""Things that are listed one by one; more would not be listened to."""
KEY = "told"


def describe(figure: Any, text: str) -> Any:
    """Keep the words with a figure; returns the figure."""
    figure.update_layout(meta={KEY: text})
    return figure


def told(figure: Any) -> str:
    """The words that were kept with a figure; empty for a figure that is not PruneViz's own."""
    meta = figure.layout.meta
    return str(meta.get(KEY, "")) if isinstance(meta, dict) else ""


def listed(things: Iterable[str], most: int = MOST) -> str:
    """The first of several things: `a, b, c and 5 more`; things with commas part at semicolons."""
    every = list(things)
    between = "; " if any("," in thing for thing in every) else ", "
    if len(every) <= most + 1:  # "and 1 more" takes no less room than the thing itself
        return between.join(every)
    return f"{between.join(every[:most])} and {len(every) - most} more"

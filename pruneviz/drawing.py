"""Drawing results: what `result.figure(...)` calls, and what a notebook shows.

Figures stand above the results that they draw, so results do not import them: they are found by
name when the first picture is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

FIGURES = "pruneviz.figures.by_result"
HTML = "pruneviz.figures.html"


def draw(result: object, *, dark: bool = False, height: int | None = None, **options: Any) -> Any:
    """Draw a result as a Plotly figure.

    Args:
        result: Any result with a `.figure()`.
        dark: Colours for a dark background.
        height: In pixels; by default as tall as the picture needs.
        options: What the picture of that type of result can do besides.
    """
    if height is not None:
        options["height"] = height
    return import_module(FIGURES).figure_of(result, dark=dark, **options)


class Shown:
    """A result that a notebook shows as a small table; see `pruneviz.figures.html`."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        html: str = import_module(HTML).html_of(self)
        return html

"""What the ribbon shows of a run at one of its steps: what is left, and where it changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from plotly.colors import sample_colorscale

from pruneviz.channels import ChannelGraph
from pruneviz.figures import style
from pruneviz.figures.ribbon import kept_filters
from pruneviz.strategies.details import BoolArray

Moved = Sequence[float | None]
"""How much each layer's weights have changed since the step before, relative to these, or None."""
STEP = "the step before"
LOW, HIGH = 1e-3, 1.0
"""The changes at the ends of the colours, between which they follow the logarithm."""


@dataclass(frozen=True)
class RibbonStep:
    """A run's network at one step, layer by layer."""

    layers: tuple[str, ...]
    kept: tuple[int, ...]
    """Filters that are left."""
    moved: tuple[float | None, ...]
    """How much the weights changed since the step before, relative to these; empty: not known."""
    since: str = STEP

    def colours(self, dark: bool) -> tuple[str | None, ...]:
        """A colour a layer, stronger the more it has changed; None where that is not known."""
        return tuple(
            None if m is None else sample_colorscale(scale(dark), [_place(m)])[0]
            for m in self.moved
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about each layer."""
        return tuple("" if m is None else f"weights changed by {_percent(m)}" for m in self.moved)

    @property
    def told(self) -> str:
        """Which layers changed most and least, in words; empty where that is not known."""
        known = [(m, n) for m, n in zip(self.moved, self.layers, strict=False) if m is not None]
        if not known:
            return ""
        (least, low), (most, high) = min(known), max(known)
        if most == 0:
            return "No weights have changed"
        return (
            f"Weights changed most in {high} ({_percent(most)}), least in {low} ({_percent(least)})"
        )

    def legend(self, dark: bool) -> dict[str, Any] | None:
        """What the colours mean, as the component draws it; None where they mean nothing."""
        if not any(m is not None for m in self.moved):
            return None
        what = f"Colour: how much a layer's weights have changed since {self.since}"
        texts = (what, f"≤ {style.percent(LOW)}", f"≥ {style.percent(HIGH, 0)}")
        return {"texts": texts, "colours": scale(dark)}

    @classmethod
    def of(cls, graph: ChannelGraph, kept: BoolArray, moved: Moved = (), since: str = STEP) -> Self:
        """Lay out one step.

        Args:
            graph: The unpruned network's channels.
            kept: (num_units,) True for the units that the step's plan keeps.
            moved: How much each layer's weights have changed; empty where that is not known, and
                taken as such where it is of a network with other layers, or damaged.
            since: Since when.
        """
        layers = tuple(layer.name for layer in graph.layers)
        own = tuple(moved) if len(moved) == len(layers) and all(map(_is_change, moved)) else ()
        return cls(layers, kept_filters(graph, kept), own, since)


def scale(dark: bool) -> list[str]:
    """The colours from no change to the most; the palest would be lost on the page."""
    return (style.SCALE_DARK if dark else style.SCALE)[1:]


def _is_change(value: object) -> bool:
    """Whether a stored value is one; records of other programs may hold anything."""
    return value is None or (isinstance(value, int | float) and 0 <= value < math.inf)


def _place(moved: float) -> float:
    """Where a change lies between the ends of the colours, 0..1."""
    share = math.log(max(moved, LOW) / LOW) / math.log(HIGH / LOW)
    return min(1.0, share)


def _percent(moved: float) -> str:
    return f"< {style.percent(LOW)}" if 0 < moved < LOW else style.percent(moved)

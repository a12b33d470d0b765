"""What tests of charts share: their horizontal lines, and a point of the trade-off."""

from __future__ import annotations

from typing import Any

from pruneviz import figures


def named(figure: Any) -> str:
    """What lines across the chart are called, in the legend or beside them."""
    in_legend = [s.name for s in figure.layout.shapes if s.showlegend]
    return " ".join([*in_legend, *(a.text or "" for a in figure.layout.annotations)])


def level(figure: Any) -> set[float]:
    return {shape.y0 for shape in figure.layout.shapes if shape.line.dash == "dot"}


def point(key: str, macs: float, accuracy: float, kind: str = "plan") -> figures.TradeoffPoint:
    return figures.TradeoffPoint(key, key, kind, macs, macs / 10, accuracy, 100)  # type: ignore[arg-type]

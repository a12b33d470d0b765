"""The little statistics that figures need."""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilson(fraction: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's confidence interval of a fraction observed on `count` images.

    centre = (p + z²/2n) / (1 + z²/n), half-width = z·sqrt(p(1−p)/n + z²/4n²) / (1 + z²/n).
    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927. It is
    what `scipy.stats.binomtest(...).proportion_ci(method="wilson")` gives, whose import would delay
    the first page.
    """
    if count <= 0:
        return 0.0, 1.0
    scale = 1 + z * z / count
    centre = (fraction + z * z / (2 * count)) / scale
    half = z * math.sqrt(fraction * (1 - fraction) / count + z * z / (4 * count * count)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of points (cost, accuracy) that no other beats in both, cheapest first."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    best = -math.inf
    for index in order:
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return front

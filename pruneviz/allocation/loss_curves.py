"""A group's curve of loss against the number of units pruned, from a few measured points.

Measured is the loss of the repaired network at a few ratios. What lies between two of them follows
the error that remains after a refit, e_k, when the first k units of the order have gone
(`criteria.reconstruction.costs_in_order`), which needs no pass through the network. The loss is
taken as a power of it,

    L(k) = c e_k^s,

c and s through both points, s between 0.3 and 4; before the first point and after the last one the
nearest pair's, and at least 1 after the last. Without e_k, straight lines join the points.

With two points of each group, plans were as good as with straight lines through six (ResNet-20 and
VGG-16 on CIFAR-10); with straight lines through three, the plan for a quarter of VGG-16's MACs lost
20 points of accuracy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
SHARE = 0.1
"""A loss is at least this times the error: few images do not show what the last units are worth."""
TINY = 1e-9
SLOPES = (0.3, 4.0)


def loss_curve(
    gone: FloatArray,
    losses: FloatArray,
    width: int,
    errors: FloatArray | None = None,
    power: float = 1.0,
) -> Callable[[int], float]:
    """The convex curve below a group's losses, as a function of the number of units pruned.

    Args:
        gone: (n,) units pruned at the measured points, rising; above 0 and below `width`.
        losses: (n,) what this added to the loss.
        width: The group's units.
        errors: (width,) the error that remains when 1, 2, … units are gone, or None.
        power: Exponent of the curve: above 1, steep curves become steeper.

    Returns:
        Its value for 0 to `width` - 1 units. Beyond the last point known, it rises at twice the
        last slope.
    """
    x, y = np.append(0.0, gone), np.append(0.0, np.maximum(losses, 0.0))
    if errors is not None and len(gone):
        x, y = np.arange(float(width)), np.append(0.0, between(gone, losses, errors)[: width - 1])
    x, y = hull(x, y)
    # A little for every unit, so that groups without any loss are pruned evenly.
    y = y**power + 1e-4 * x / width

    def value(count: int) -> float:
        if count <= x[-1] or len(x) < 2:
            return float(np.interp(count, x, y))
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        return float(y[-1] + 2 * slope * (count - x[-1]))

    return value


def between(gone: FloatArray, losses: FloatArray, errors: FloatArray) -> FloatArray:
    """(width,) losses when 1, 2, … units are gone: powers of the error through measured points."""
    error = np.maximum(errors, TINY)
    known = error[np.asarray(gone, dtype=int) - 1]
    measured = np.maximum.accumulate(np.maximum(losses, SHARE * known))
    e, x, y = np.log(error), np.log(known), np.log(measured)
    if len(x) == 1:
        return np.asarray(np.exp(y[0] + e - x[0]))
    at = np.clip(np.searchsorted(x, e) - 1, 0, len(x) - 2)
    slope = np.clip(np.diff(y) / np.maximum(np.diff(x), 1e-6), *SLOPES)[at]
    past = e > x[-1]
    result = np.where(
        past, y[-1] + np.maximum(slope, 1.0) * (e - x[-1]), y[at] + slope * (e - x[at])
    )
    # Where the slope was bounded, the next point is met nevertheless, and nothing passes it.
    return np.asarray(np.exp(np.minimum(result, np.where(past, np.inf, y[at + 1]))))


def hull(gone: FloatArray, losses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lower convex hull of rising points: (x, y) of its corners, from the first point on."""
    corners: list[tuple[float, float]] = []
    for x, y in zip(gone.tolist(), np.maximum.accumulate(losses).tolist(), strict=True):
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (y1 - y0) * (x - x0) <= (y - y0) * (x1 - x0):
                break
            corners.pop()
        corners.append((x, y))
    xs, ys = zip(*corners, strict=True)
    return np.array(xs), np.array(ys)

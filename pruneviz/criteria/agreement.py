"""How well two criteria agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]


def spearman(a: FloatArray, b: FloatArray) -> float:
    """Spearman's rank correlation; nan where there are fewer than two values or all are equal."""
    from scipy.stats import rankdata

    if len(a) < 2:
        return float("nan")
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / norm) if norm > 0 else float("nan")


def relative_ranks(values: FloatArray) -> FloatArray:
    """(N,) each value's rank from 0 (lowest) to 1; equal values share the mean of their ranks."""
    from scipy.stats import rankdata

    ranks: FloatArray = (rankdata(values) - 1) / max(1, len(values) - 1)
    return ranks


def farthest_apart(a: FloatArray, b: FloatArray, count: int) -> list[int]:
    """The positions at which two rows of ranks differ most, nan nowhere among them."""
    apart = np.abs(a - b)
    order = np.argsort(-np.where(np.isnan(apart), -1.0, apart), kind="stable")
    return [int(i) for i in order[: min(count, int(np.isfinite(apart).sum()))]]


def disagreements(
    graph: ChannelGraph, scores: Mapping[str, FloatArray], count: int
) -> pd.DataFrame:
    """The units on which two criteria differ most, by their ranks within the group, 0..1.

    `scores` maps the two criteria's names to their scores (num_units,).
    """
    import pandas as pd

    ranks = {name: np.full(graph.num_units, np.nan) for name in scores}
    for group in graph.prunable_groups:
        own = slice(group.start, group.start + group.width)
        for name, values in scores.items():
            ranks[name][own] = relative_ranks(values[own])
    rows = list(ranks.values())
    units = farthest_apart(rows[0], rows[-1], count)
    groups = [graph.group_of(u) for u in units]
    columns: dict[str, Any] = {
        "unit": units,
        "group": [g.name for g in groups],
        "index": [u - g.start for u, g in zip(units, groups, strict=True)],
    }
    return pd.DataFrame(columns | {f"rank by {n}": r[units] for n, r in ranks.items()})

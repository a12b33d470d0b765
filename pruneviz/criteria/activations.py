"""Criteria computed from feature maps: how filters respond to images.

A feature map is taken after the normalisation and activation that follow the layer directly.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pruneviz.criteria.evidence import Evidence, FloatArray, Statistics, mean_over_members
from pruneviz.criteria.registry import Criterion


def mean_absolute(statistics: Statistics, layer: str) -> FloatArray:
    """(C,) mean of |a| over images and positions."""
    return statistics.absolute[layer] / statistics.count[layer]


def standard_deviation(statistics: Statistics, layer: str) -> FloatArray:
    """(C,) standard deviation of a over images and positions."""
    return np.asarray(np.sqrt(np.maximum(statistics.spread[layer], 0.0) / statistics.count[layer]))


def share_above_zero(statistics: Statistics, layer: str) -> FloatArray:
    """(C,) share of values above zero: 1 - APoZ after a ReLU."""
    return statistics.positive[layer] / statistics.count[layer]


def _by_filter(
    measure: Callable[[Statistics, str], FloatArray],
) -> Callable[[Evidence], FloatArray]:
    def score(evidence: Evidence) -> FloatArray:
        statistics = evidence.gathered
        values = {layer: measure(statistics, layer) for layer in statistics.count}
        return mean_over_members(evidence.graph, values)

    return score


CRITERIA = (
    Criterion(
        name="mean_activation",
        title="Mean activation",
        help="Filters that hardly respond matter little: the mean absolute value of the feature "
        "map.",
        formula="mean |a|",
        paper="Molchanov et al. 2016, section 2.2",
        score=_by_filter(mean_absolute),
        gathers=frozenset({"absolute"}),
        needs_data=True,
    ),
    Criterion(
        name="std_activation",
        title="Spread of activations",
        help="Filters that respond the same to everything do not tell images apart: the standard "
        "deviation of the feature map.",
        formula="std a",
        paper="Molchanov et al. 2016, section 2.2",
        score=_by_filter(standard_deviation),
        gathers=frozenset({"spread"}),
        needs_data=True,
    ),
    Criterion(
        name="apoz",
        title="Share of non-zero activations",
        help="Filters that are zero at most positions matter little: one minus the average "
        "percentage of zeros (APoZ); without a ReLU, the share of values above zero.",
        formula="1 − APoZ = share of a > 0",
        paper="Hu et al. 2016, Network Trimming",
        score=_by_filter(share_above_zero),
        gathers=frozenset({"positive"}),
        needs_data=True,
    ),
)

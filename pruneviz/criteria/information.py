"""How much a filter's response tells of the class: mutual information, as in Molchanov et al."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pruneviz.criteria.evidence import Evidence, FloatArray, mean_over_members
from pruneviz.criteria.registry import Criterion

BINS = 8
"""Into how many bins, of as many images each, responses are put where there are images enough."""
IMAGES = 4
"""As many images a bin at least: in bins of one image each, every filter tells all."""


def information(responses: FloatArray, labels: npt.NDArray[np.int64]) -> FloatArray:
    """(C,) nats that the responses (N, C), put into bins, have in common with labels (N,).

    I = H(bin) + H(label) - H(bin, label). Few images make it larger than it is, for all filters
    alike: by about (bins - 1)(classes - 1) / 2N.
    """
    bins_used = max(2, min(BINS, len(labels) // IMAGES))
    edges = np.quantile(responses, np.linspace(0, 1, bins_used + 1)[1:-1], axis=0)
    classes = int(labels.max()) + 1
    common = np.zeros(responses.shape[1])
    for channel in range(responses.shape[1]):
        bins = np.searchsorted(edges[:, channel], responses[:, channel], side="right")
        joint = np.bincount(bins * classes + labels, minlength=BINS * classes)
        table = joint.reshape(BINS, classes)
        common[channel] = _entropy(table.sum(1)) + _entropy(table.sum(0)) - _entropy(joint)
    return np.maximum(common, 0.0)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _score(evidence: Evidence) -> FloatArray:
    seen = evidence.gathered
    values = {name: information(own, seen.labels) for name, own in seen.response.items()}
    return mean_over_members(evidence.graph, values)


CRITERIA = (
    Criterion(
        name="mutual_information",
        title="Mutual information",
        help="Filters whose mean response says nothing about the class matter little: the "
        f"information that both share, with responses put into {BINS} bins.",
        formula="H(a) + H(y) − H(a, y)",
        paper="Molchanov et al. 2016, section 2.2",
        score=_score,
        gathers=frozenset({"response"}),
        needs_data=True,
    ),
)

"""The control: scores drawn at random."""

from __future__ import annotations

import numpy as np

from pruneviz.criteria.evidence import Evidence, FloatArray
from pruneviz.criteria.registry import Criterion


def random_scores(evidence: Evidence) -> FloatArray:
    """(num_units,) uniform in [0, 1), the same for the same seed."""
    return np.random.default_rng(evidence.seed).random(evidence.graph.num_units)


CRITERIA = (
    Criterion(
        name="random",
        title="Random",
        help="Scores drawn at random: what any other criterion must beat.",
        formula="U(0, 1)",
        paper="Mittal et al. 2018, Recovering from Random Pruning",
        score=random_scores,
    ),
)

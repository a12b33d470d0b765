"""The oracle: silence each unit, one at a time, and see what the loss does."""

from __future__ import annotations

import numpy as np

from pruneviz.criteria.evidence import Evidence, FloatArray
from pruneviz.criteria.registry import Criterion

UNITS = 1024
"""Units measured in one go over the images, so that the plans of a large network need not all be
in memory at once."""


def oracle(evidence: Evidence) -> FloatArray:
    """(num_units,) |L without the unit - L|, L the mean loss over the images."""
    from pruneviz.plan import Plan
    from pruneviz.replay import Replay, scan

    graph, images = evidence.graph, evidence.seen
    units = np.flatnonzero(graph.prunable).tolist()
    parts = [units[start : start + UNITS] for start in range(0, len(units), UNITS)]
    scores = np.zeros(graph.num_units)
    done = 0
    for part in parts:
        plans = [Plan(graph), *(Plan(graph, [unit]) for unit in part)]
        names = dict.fromkeys(graph.group_of(unit).name for unit in part)
        replay = Replay(evidence.model, graph, groups=names)
        loss = np.zeros(len(plans))
        for found in scan(replay, images, plans, batch_size=evidence.batch_size):
            loss += [score.loss for score in found]
            done += found[0].count
            evidence.report(done, len(images) * len(parts))
        scores[part] = np.abs(loss[1:] - loss[0]) / len(images)
    return scores


CRITERIA = (
    Criterion(
        name="oracle",
        title="Oracle",
        help="The truth that other criteria estimate: how much the loss changes when the filter "
        "is silenced, measured for one filter after the other (slow).",
        formula="| L(without) − L |",
        paper="Molchanov et al. 2016, section 3.1",
        score=oracle,
        needs_data=True,
        own_pass=True,
        same_unit=True,
    ),
)

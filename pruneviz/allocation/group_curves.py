"""What each group's pruning costs in loss, as far as a plan for a budget needs to know it.

Two ratios a group are repaired and measured; the errors that remain after a refit say how the loss
runs between them (`loss_curves`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneviz.allocation.greedy import Budget, FloatArray, greedy
from pruneviz.criteria import Ranking
from pruneviz.criteria.reconstruction import costs_in_order
from pruneviz.plan import Plan
from pruneviz.sensitivity import sensitivity
from pruneviz.sensitivity_result import Sensitivity

if TYPE_CHECKING:
    from pruneviz.repair import Repairer

RATIOS = (0.5, 0.9)
IMAGES = 128
"""Validation images that curves are measured on, at most."""


@dataclass(frozen=True, eq=False)
class GroupCurves:
    """The order of the units, measured points, and the errors between them."""

    scores: FloatArray
    """(num_units,) the lowest of a group go first."""
    scan: Sensitivity
    errors: FloatArray
    """(num_units,) of the group's readers, when a unit and those before it are gone."""

    def plan(self, wanted: Budget, power: float = 1.0) -> Plan:
        """The greedy plan for a budget."""
        return greedy(wanted, self.scores, self.scan, power, self.errors)


def group_curves(
    repairer: Repairer,
    ranking: Ranking,
    criterion: str,
    groups: Iterable[str],
    *,
    images: int = IMAGES,
    scan: Sensitivity | None = None,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> GroupCurves:
    """Measure and predict what pruning each group costs.

    Args:
        repairer: The unpruned network, its channels and data.
        ranking: A ranking that holds the criterion.
        criterion: Orders the units within each group.
        groups: Names of the groups.
        images: The most validation images to measure on.
        scan: A repaired scan by the same criterion; measured here if missing.
        progress: Called with the fraction done and the current activity.
    """
    names = list(groups)
    progress(0.0, "Gathering statistics")
    seen, scores = repairer.statistics, ranking.of(criterion)
    done = 0

    def report(group: str) -> None:
        nonlocal done
        progress(
            0.2 * done / len(repairer.graph.prunable_groups), "Predicting what can be refitted"
        )
        done += 1

    errors = costs_in_order(repairer.model, repairer.graph, seen, scores, report)
    if scan is None:
        for grown in sensitivity(
            repairer.model, repairer.graph, repairer.data, ranking, criterion, RATIOS,
            images=min(images, IMAGES), groups=names, seen=seen, progress=False,
        ):  # fmt: skip
            scan = grown
            progress(0.2 + 0.8 * scan.progress, "Measuring every group, repaired")
    assert scan is not None
    return GroupCurves(scores, scan, errors)

"""The oracle: zero each unit, one at a time, and measure how the loss changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneviz.criteria.evidence import Evidence, FloatArray
from pruneviz.criteria.registry import Criterion

if TYPE_CHECKING:
    from pruneviz.data import ImageSet


@dataclass(frozen=True)
class _Sample:
    """The images drawn for the ranking, where a data set is expected."""

    images: ImageSet

    def split(self, name: str) -> ImageSet:
        """Return the same images, whatever the name."""
        return self.images


def oracle_scores(evidence: Evidence) -> FloatArray:
    """(num_units,) |L without the unit - L|, L the mean loss over the images."""
    from pruneviz.replay import oracle

    result = None
    for result in oracle(
        evidence.model,
        evidence.graph,
        _Sample(evidence.seen),
        images=None,
        batch_size=evidence.batch_size,
    ):
        evidence.report(result.images, result.total)
    assert result is not None
    return result.scores("abs")


CRITERIA = (
    Criterion(
        name="oracle",
        title="Oracle",
        help="What other criteria estimate: how much the loss changes when the filter is zeroed, "
        "measured filter by filter (slow).",
        formula="| L(without) − L |",
        paper="Molchanov et al. 2016, section 3.1",
        score=oracle_scores,
        needs_data=True,
        own_pass=True,
        same_unit=True,
    ),
)

"""Criteria that estimate the change of the loss from gradients.

All are built on a unit's *term* on one image, T = Σ activation × gradient over its feature map
(all its channels end to end): the first-order change of that image's loss when the unit is
silenced. Where a unit has channels in several layers they go together, so their terms are added
before anything is squared or made absolute.
"""

from __future__ import annotations

import numpy as np

from pruneviz.criteria.evidence import Evidence, FloatArray
from pruneviz.criteria.registry import Criterion


def taylor(evidence: Evidence) -> FloatArray:
    """(num_units,) mean over images of |T| / M, M the size of the unit's feature map."""
    found = evidence.gathered
    return found.term_absolute / np.maximum(found.positions, 1) / found.images


def taylor_signed(evidence: Evidence) -> FloatArray:
    """(num_units,) |mean over images of T|."""
    return np.abs(evidence.gathered.term) / evidence.gathered.images


def fisher(evidence: Evidence) -> FloatArray:
    """(num_units,) half the mean over images of T²."""
    return 0.5 * evidence.gathered.term_square / evidence.gathered.images


def taylor_weight(evidence: Evidence) -> FloatArray:
    """(num_units,) (Σ w · ∂L/∂w)² over the unit's filters, L the mean loss over all images."""
    return evidence.gathered.weight_term**2


CRITERIA = (
    Criterion(
        name="taylor",
        title="Taylor",
        help="How much the loss would change without the filter, judged by its slope: mean of "
        "activation × gradient over positions, absolute value for each image, averaged.",
        formula="meanₙ | meanₘ a · ∂L/∂a |",
        paper="Molchanov et al. 2016, Pruning CNNs for Resource Efficient Inference",
        score=taylor,
        gathers=frozenset({"term_absolute"}),
        needs_data=True,
        needs_gradient=True,
    ),
    Criterion(
        name="taylor_signed",
        title="Taylor over all images",
        help="As Taylor, but what one image gains another may lose: the absolute value is taken "
        "after averaging over all images.",
        formula="| meanₙ Σₘ a · ∂L/∂a |",
        paper="Molchanov et al. 2016, with the absolute value outside the batch mean",
        score=taylor_signed,
        gathers=frozenset({"term"}),
        needs_data=True,
        needs_gradient=True,
        same_unit=True,
    ),
    Criterion(
        name="taylor_weight",
        title="Taylor on weights",
        help="The squared change of the loss when the filter's weights become zero, judged by "
        "weight × gradient.",
        formula="(Σ w · ∂L/∂w)²",
        paper="Molchanov et al. 2019, Importance Estimation for Neural Network Pruning",
        score=taylor_weight,
        gathers=frozenset({"weight_term"}),
        needs_data=True,
        needs_gradient=True,
        same_unit=True,
    ),
    Criterion(
        name="fisher",
        title="Fisher information",
        help="The expected rise of the loss without the filter, from the squared slope on each "
        "image.",
        formula="½ meanₙ (Σₘ a · ∂L/∂a)²",
        paper="Theis et al. 2018, Faster Gaze Prediction with Dense Networks and Fisher Pruning",
        score=fisher,
        gathers=frozenset({"term_square"}),
        needs_data=True,
        needs_gradient=True,
        same_unit=True,
    ),
)

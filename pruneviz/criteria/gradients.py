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
    """(num_units,) |mean over images of T| / M, M the size of the unit's feature map."""
    return taylor_loss(evidence) / np.maximum(evidence.gathered.positions, 1)


def taylor_loss(evidence: Evidence) -> FloatArray:
    """(num_units,) |mean over images of T|."""
    return np.abs(evidence.gathered.term) / evidence.gathered.images


def taylor_image(evidence: Evidence) -> FloatArray:
    """(num_units,) mean over images of |T| / M."""
    statistics = evidence.gathered
    return statistics.term_absolute / np.maximum(statistics.positions, 1) / statistics.images


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
        help="First-order estimate of how much the loss changes without the filter: activation "
        "× gradient, averaged over images and positions; each layer is scaled by its l2 norm "
        "where layers are compared.",
        formula="| meanₙ meanₘ a · ∂L/∂a |",
        paper="Molchanov et al. 2016, Pruning CNNs for Resource Efficient Inference",
        score=taylor,
        gathers=frozenset({"term"}),
        needs_data=True,
        needs_gradient=True,
    ),
    Criterion(
        name="taylor_image",
        title="Taylor by image",
        help="Like Taylor, but with the absolute value of each image: gains on one do not cancel "
        "losses on another.",
        formula="meanₙ | meanₘ a · ∂L/∂a |",
        paper="Molchanov et al. 2016, section 2.2: each example separately, then averaged",
        score=taylor_image,
        gathers=frozenset({"term_absolute"}),
        needs_data=True,
        needs_gradient=True,
    ),
    Criterion(
        name="taylor_loss",
        title="Taylor in units of the loss",
        help="Like Taylor, but summed over positions: it estimates the change of the loss itself, "
        "so layers compare without scaling.",
        formula="| meanₙ Σₘ a · ∂L/∂a |",
        paper="Molchanov et al. 2016, without the division by the map's size",
        score=taylor_loss,
        gathers=frozenset({"term"}),
        needs_data=True,
        needs_gradient=True,
        same_unit=True,
    ),
    Criterion(
        name="taylor_weight",
        title="Taylor on weights",
        help="The squared change of the loss when the filter's weights become zero, estimated by "
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
        help="The expected rise of the loss without the filter, from each image's squared Taylor "
        "term.",
        formula="½ meanₙ (Σₘ a · ∂L/∂a)²",
        paper="Theis et al. 2018, Faster Gaze Prediction with Dense Networks and Fisher Pruning",
        score=fisher,
        gathers=frozenset({"term_square"}),
        needs_data=True,
        needs_gradient=True,
        same_unit=True,
    ),
)

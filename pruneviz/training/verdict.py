"""Whether a network has learned anything: its accuracy against chance, and its predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pruneviz.data import ImageSet
    from pruneviz.evaluation import Evaluation

SIGMAS = 2.0
"""Standard errors above chance from which an accuracy counts as more than that."""


def chance(images: ImageSet) -> float:
    """Accuracy (0..1) of always answering the class that most of the images have."""
    labels = images.labels
    return float(labels.bincount().max()) / len(labels) if len(labels) else math.nan


def verdict(evaluation: Evaluation, by_chance: float) -> str:
    """Say that a network has learned nothing, and what to do; empty if it has.

    It has not if it puts all images into one class, or if its accuracy is within two
    standard errors, `sqrt(c (1 - c) / N)`, of what chance `c` gives on the `N` images.
    """
    remedy = "Train it longer, or at a lower learning rate, before you rely on it."
    answers = np.unique(evaluation.predictions)
    if len(answers) == 1 and len(evaluation.classes) > 1:
        only = evaluation.classes[int(answers[0])]
        return f"The network puts all {evaluation.count} images into one class, '{only}'. {remedy}"
    error = math.sqrt(by_chance * (1 - by_chance) / max(1, evaluation.count))
    if evaluation.accuracy <= by_chance + SIGMAS * error:
        return (
            f"The network classifies {evaluation.accuracy:.1%} of {evaluation.count} images "
            "correctly, no better than chance: always predicting the most common class gives "
            f"{by_chance:.1%}. {remedy}"
        )
    return ""

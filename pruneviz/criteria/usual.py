"""The default number of images for a ranking, the same on screen and in runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.cost import cost
from pruneviz.criteria.registry import registered

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph

RANKING_MACS = 20e9
"""Multiply-adds that a ranking may cost: a few seconds."""
RANKING_IMAGES = (32, 256)
LONG_IMAGES = 128
"""Images for the criteria that run passes of their own."""


def usual_images(graph: ChannelGraph, criterion: str) -> int:
    """How many images a ranking by a criterion uses; one image costs about three forward passes."""
    known = registered().get(criterion)
    if known is not None and known.own_pass:
        return LONG_IMAGES
    low, high = RANKING_IMAGES
    return max(low, min(high, int(RANKING_MACS / (3 * max(1, cost(graph).macs)))))

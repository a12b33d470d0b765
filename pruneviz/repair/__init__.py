"""Repair without training: the remaining weights make up for the pruned ones, in closed form."""

from pruneviz.repair.layerwise import LayerRepair
from pruneviz.repair.moments import Moments, Statistics, statistics
from pruneviz.repair.repairer import Depth, Repaired, Repairer, repair

__all__ = [
    "Depth",
    "LayerRepair",
    "Moments",
    "Repaired",
    "Repairer",
    "Statistics",
    "repair",
    "statistics",
]

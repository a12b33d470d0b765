"""Repair without training: what layers lost is made up for by what they kept, in closed form."""

from pruneviz.repair.layerwise import LayerRepair
from pruneviz.repair.repair import Depth, Repaired, Repairer, repair
from pruneviz.repair.statistics import Moments, Statistics, statistics

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

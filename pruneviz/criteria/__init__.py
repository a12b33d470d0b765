"""Criteria: how much each filter matters. A registry of them, and rankings made with them."""

from pruneviz.criteria.agreement import spearman
from pruneviz.criteria.evidence import Evidence
from pruneviz.criteria.ranking import Ranking
from pruneviz.criteria.registry import Criterion, criteria, find_criterion
from pruneviz.criteria.run import applicable, rank
from pruneviz.criteria.weights import by_filter

__all__ = [
    "Criterion",
    "Evidence",
    "Ranking",
    "applicable",
    "by_filter",
    "criteria",
    "find_criterion",
    "rank",
    "spearman",
]

"""Criteria: how much each filter matters. A registry of them, and rankings made with them."""

from pruneviz.criteria.agreement import spearman
from pruneviz.criteria.ranking import Ranking
from pruneviz.criteria.registry import Criterion, criteria, find_criterion
from pruneviz.criteria.run import applicable, rank

__all__ = ["Criterion", "Ranking", "applicable", "criteria", "find_criterion", "rank", "spearman"]

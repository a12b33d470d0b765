"""The plan for a budget: which group of coupled channels loses how much."""

from pruneviz.allocation.allocating import IMAGES, Allocation, Candidate, allocate, search

__all__ = ["IMAGES", "Allocation", "Candidate", "allocate", "search"]

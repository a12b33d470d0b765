"""The lab: what the papers behind PruneViz claim, run here, and compared with what they published.

`claims()` and `results()` are plain data and load without torch; `pruneviz lab` lists, runs and
shows them.
"""

from __future__ import annotations

from pruneviz.studies.papers.claims import Claim, claims, find_claim
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import Finding, LabResult, results

__all__ = ["Claim", "Finding", "LabResult", "Request", "claims", "find_claim", "results"]

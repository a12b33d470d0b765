"""The lab: what the papers behind PruneViz claim, run here, and compared with what they published.

`claims()` and `results()` are plain data and load without torch; `pruneviz lab` lists, runs and
shows them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pruneviz.lab.claims import Claim, claims, find_claim
from pruneviz.lab.request import Request
from pruneviz.lab.result import Finding, LabResult, results

__all__ = ["Claim", "Finding", "LabResult", "Request", "claims", "find_claim", "main", "results"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the lab; returns the exit status."""
    from pruneviz.lab.cli import main as command

    return command(arguments)

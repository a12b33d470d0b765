"""Who decides which runs of a study may begin: a name, and what reads the study's request.

Studies are a layer above this one; they register themselves, as kinds of runs do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pruneviz.errors import UnknownNameError
from pruneviz.jobs.views import RunSpec, RunView

BUILT_IN = ("pruneviz.studies.race_queue",)


class Results(Protocol):
    """Whoever knows what runs have come to: the records, or a service."""

    def results(self, run_id: str) -> dict[str, Any]:
        """Return a run's results so far: name to JSON payload."""


class Adaptive(Protocol):
    """A study whose first runs decide which others it has."""

    def specs(self, owner: str = "") -> Sequence[RunSpec]:
        """Its runs, if all are needed, in the order in which they are to begin."""

    def ready(
        self, results: Results, specs: Sequence[RunSpec], runs: Sequence[RunView]
    ) -> Sequence[RunSpec]:
        """Those of its runs that may begin or have begun, by what `runs` have come to."""


Read = Callable[[Mapping[str, Any]], Adaptive]
_PLANNERS: dict[str, Read] = {}


def register_planner(kind: str, read: Read) -> None:
    """Register what makes a study of its request (plain JSON)."""
    _PLANNERS[kind] = read


def find_planner(kind: str) -> Read:
    """Return what makes a study of this kind of its request.

    Raises:
        UnknownNameError: there is none.
    """
    for module in BUILT_IN:
        importlib.import_module(module)
    if kind not in _PLANNERS:
        raise UnknownNameError("kind of study", kind, _PLANNERS)
    return _PLANNERS[kind]

"""A study as a queue: its runs have one parent, the study's id, and know nothing of each other.

Any executor works through them in any order; each can be stopped and resumed, and the same study
asked for again goes on where it was: what is done is not done again. No torch here.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pruneviz.jobs.listing import Which
from pruneviz.jobs.planned import Planned
from pruneviz.jobs.views import RunSpec, RunView

if TYPE_CHECKING:
    from pruneviz.jobs.planners import Results
    from pruneviz.jobs.service import JobService


class Study(ABC):
    """What is made of many runs."""

    kind: ClassVar[str] = ""
    """Who plans it (`pruneviz.jobs.planners`), where it is adaptive."""

    @property
    def adaptive(self) -> bool:
        """Whether it depends on its first runs which others it has."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; needed where it is adaptive."""
        raise NotImplementedError

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called."""

    @property
    @abstractmethod
    def id(self) -> str:
        """The parent of its runs, the same whenever the same is asked for."""

    @abstractmethod
    def specs(self, owner: str = "") -> Sequence[RunSpec]:
        """Its runs, in the order in which they are to begin."""

    def ready(
        self, results: Results, specs: Sequence[RunSpec], runs: Sequence[RunView]
    ) -> Sequence[RunSpec]:
        """Those of its runs that may begin or have begun, by what the others have come to."""
        return specs


class Queue:
    """Hands the runs of a study to a service, at most `at_most` at the same time (None: all)."""

    def __init__(
        self, service: JobService, study: Study, owner: str = "", at_most: int | None = None
    ) -> None:
        self._service = service
        self._study = study
        self._owner = owner
        self._specs = tuple(study.specs(owner))
        self._at_most = at_most
        self._handed: set[str] = set()

    def __len__(self) -> int:
        return len(self._specs)

    def ahead(self) -> tuple[RunSpec, ...]:
        """The runs that are still to be done, or done to the end."""
        there = self._there()
        done = {work for work, run in there.items() if run.status == "done"}
        return tuple(spec for spec in self._specs if spec.work not in done)

    def advance(self) -> tuple[RunView, ...]:
        """Submit what is missing, resume what had stopped before; return the runs there are.

        A run that this queue handed over and that has failed, or was cancelled, is left alone.
        """
        there = self._there()
        room = len(self) if self._at_most is None else self._at_most
        room -= sum(run.active for run in there.values())
        for spec in self._ready(there):
            run = there.get(spec.work)
            if room > 0 and (run is None or self._stopped(run)):
                if run is None:
                    self._handed.add(self._service.submit(spec, once=True))
                else:
                    self._handed.add(run.id)
                    self._service.resume(run.id)
                room -= 1
        there = self._there()
        return tuple(there[work] for work in (spec.work for spec in self._specs) if work in there)

    def keep(self) -> None:
        """Have the service submit the later runs of an adaptive study, whether or not it is asked.

        Without this, somebody has to call `advance` when runs have ended.
        """
        study = self._study
        if study.adaptive:
            planned = Planned(
                study.id, study.kind, study.name, study.to_dict(), self._owner or None
            )
            self._service.keep_study(planned)

    def over(self, runs: Sequence[RunView]) -> bool:
        """Tell by what `advance` returned whether all that was to be done has ended."""
        there = {run.spec.work: run for run in runs}
        begun = all(spec.work in there for spec in self._ready(there))
        return begun and not any(run.active or self._stopped(run) for run in runs)

    def _ready(self, there: Mapping[str, RunView]) -> Sequence[RunSpec]:
        return self._study.ready(self._service, self._specs, tuple(there.values()))

    def _stopped(self, run: RunView) -> bool:
        """Whether a run had stopped before it was this queue's turn."""
        return run.resumable and run.id not in self._handed

    def _there(self) -> dict[str, RunView]:
        runs = self._service.list(Which(parent=self._study.id))
        return {run.spec.work: run for run in runs}


def by_study(service: JobService, kind: str) -> dict[str, tuple[RunView, ...]]:
    """The runs of every study of a kind by its id, the newest study first, the oldest run first."""
    runs_by_study: dict[str, list[RunView]] = {}
    for run in service.list(Which(kinds=(kind,))):
        if run.parent is not None:
            runs_by_study.setdefault(run.parent, []).insert(0, run)
    return {parent: tuple(runs) for parent, runs in runs_by_study.items()}


def id_of(kind: str, *settings: Any) -> str:
    """The id of a study with these settings."""
    text = json.dumps(settings, sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def data_called(source: Mapping[str, Any]) -> str:
    """What a data set is called: an image folder by its own name."""
    root = source.get("options", {}).get("root")
    return Path(str(root)).stem if root else str(source.get("name", "unnamed data"))

"""The pretraining study as a queue: a run for each network, data set and seed.

The runs have one parent, the study's id, and know nothing of each other: a queue works through
them in any order, each can be stopped and resumed, and what each has found so far is gathered in
one `PretrainingStudy`. No torch here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.listing import Which
from pruneviz.jobs.views import RunSpec, RunView
from pruneviz.studies.pretraining import PretrainingStudy, StudyPoint

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService

KIND = "pretraining_study"


@dataclass(frozen=True)
class Study:
    """What is to be compared: every network on every data set, once for each seed.

    `models` are sources with the pretrained weights, `data` sources as `DataSet.source`, `options`
    those of `pretraining_run`.
    """

    models: tuple[Mapping[str, Any], ...]
    data: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, sources in (("network", self.models), ("data set", self.data)):
            if not sources:
                raise InvalidValueError(f"A study needs at least one {kind}, but got none.")
        if not self.seeds or any(isinstance(s, bool) or s < 0 for s in self.seeds):
            raise InvalidValueError(
                f"Seeds are one or more whole numbers from 0, but got {list(self.seeds)}."
            )
        if any(model.get("weights") is None for model in self.models):
            raise InvalidValueError(
                "The study compares pretrained weights with new ones; name the weights of every "
                "network."
            )

    @property
    def id(self) -> str:
        """The parent of its runs. More seeds belong to the same study, other options do not."""
        about = [list(map(dict, self.models)), list(map(dict, self.data)), dict(self.options)]
        text = json.dumps(about, sort_keys=True)
        return f"study-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def specs(self, owner: str = "") -> tuple[RunSpec, ...]:
        """Its runs: all networks and data sets with the first seed, then with the next."""
        return tuple(
            RunSpec(
                kind=KIND,
                model=dict(model),
                data=dict(data),
                options={**self.options, "seed": seed},
                name=f"Study: {model['name']} on {data_called(data)}, seed {seed}",
                parent=self.id,
                owner=owner,
            )
            for seed in dict.fromkeys(self.seeds)
            for model in self.models
            for data in self.data
        )


def submit(service: JobService, study: Study, owner: str = "") -> tuple[str, ...]:
    """Queue the missing runs and resume those that stopped; returns all their ids."""
    there = {_subject(run.spec): run for run in service.list(Which(parent=study.id))}
    ids = []
    for spec in study.specs(owner):
        run = there.get(_subject(spec))
        if run is None:
            ids.append(service.submit(spec))
            continue
        if run.resumable:
            service.resume(run.id)
        ids.append(run.id)
    return tuple(ids)


def gather(service: JobService, runs: Iterable[RunView]) -> PretrainingStudy:
    """The results of the runs so far, finished runs first, oldest first."""
    study = PretrainingStudy()
    for run in sorted(runs, key=lambda r: (r.status != "done", r.created)):
        results = service.results(run.id)
        points = results.get("points")
        if points:
            network, seed = str(run.spec.model["name"]), int(run.spec.options["seed"])
            called = data_called(run.spec.data)
            chance = (results.get("baseline") or {}).get("chance")
            study = study.add(network, called, seed, (StudyPoint(**p) for p in points), chance)
    return study


def studies(service: JobService) -> dict[str, tuple[RunView, ...]]:
    """Every study's runs by its id, the newest study first, the oldest run first."""
    by_study: dict[str, list[RunView]] = {}
    for run in service.list(Which(kinds=(KIND,))):
        if run.parent is not None:
            by_study.setdefault(run.parent, []).insert(0, run)
    return {parent: tuple(runs) for parent, runs in by_study.items()}


def data_called(source: Mapping[str, Any]) -> str:
    """What a data set is called: an image folder by its own name."""
    root = source.get("options", {}).get("root")
    return Path(str(root)).stem if root else str(source.get("name", "unnamed data"))


def _subject(spec: RunSpec) -> str:
    """What tells the runs of a study apart."""
    return json.dumps([dict(spec.model), dict(spec.data), spec.options["seed"]], sort_keys=True)

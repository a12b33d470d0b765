"""The pretraining study as a queue: a run for each network, data set and seed. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import check_seeds
from pruneviz.errors import InvalidValueError
from pruneviz.jobs.views import RunSpec, RunView
from pruneviz.studies.pretraining import PretrainingStudy, StudyPoint
from pruneviz.studies.queue import Study, data_called, id_of

if TYPE_CHECKING:
    from pruneviz.jobs.service import JobService

KIND = "pretraining_study"


@dataclass(frozen=True)
class PretrainingRequest(Study):
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
        check_seeds(self.seeds)
        if any(model.get("weights") is None for model in self.models):
            raise InvalidValueError(
                "The study compares pretrained weights with new ones; name the weights of every "
                "network."
            )

    @property
    def id(self) -> str:
        """The parent of its runs. More seeds belong to the same study, other options do not."""
        models, data = ([dict(source) for source in some] for some in (self.models, self.data))
        return id_of("study", models, data, dict(self.options))

    @property
    def name(self) -> str:
        """What it is called."""
        networks = ", ".join(dict.fromkeys(str(model["name"]) for model in self.models))
        return f"Study: {networks} on {', '.join(dict.fromkeys(map(data_called, self.data)))}"

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
                tag=self.name,
            )
            for seed in dict.fromkeys(self.seeds)
            for model in self.models
            for data in self.data
        )


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

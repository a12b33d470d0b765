"""The race as a queue: a run for each strategy and seed. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pruneviz import stored
from pruneviz.arguments import check_seeds
from pruneviz.errors import InvalidValueError
from pruneviz.jobs.planners import register_planner
from pruneviz.jobs.views import RunSpec, RunView
from pruneviz.strategies import find_strategy
from pruneviz.strategies.registry import title_of
from pruneviz.studies.queue import Study, data_called, id_of
from pruneviz.studies.race_result import Race, merge

if TYPE_CHECKING:
    from pruneviz.jobs.planners import Results

KIND = "race"
"""Also the name of a run's result: the race with its own outcome, none before it has ended."""


@dataclass(frozen=True)
class RaceRequest(Study):
    """What is raced on what; everything that decides the figures.

    `model` and `data` are sources, the rest is as in `race`. Raises `UnknownNameError` for a
    strategy that there is not, `InvalidValueError` where strategies or seeds are missing.
    """

    kind: ClassVar[str] = KIND

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    strategies: tuple[str, ...]
    target_macs: float = 0.5
    epochs: int = 6
    seeds: tuple[int, ...] = (0, 1, 2)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    halving: bool = False

    def __post_init__(self) -> None:
        if not self.strategies:
            raise InvalidValueError("A race needs at least one strategy.")
        for name in self.strategies:
            find_strategy(name)
        check_seeds(self.seeds)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RaceRequest:
        """The race that `to_dict` wrote. Raises as the constructor does, or for other keys."""
        try:
            return stored.make(cls, values)
        except TypeError as error:
            raise InvalidValueError(f"A race has no such settings: {error}.") from None

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {**asdict(self), "seeds": list(dict.fromkeys(self.seeds))}

    @property
    def adaptive(self) -> bool:
        """Whether it depends on its first runs which others it has."""
        return self.halving

    @property
    def settings(self) -> dict[str, Any]:
        """What all its runs are given."""
        return {
            "strategies": list(dict.fromkeys(self.strategies)),
            "target_macs": self.target_macs,
            "epochs": self.epochs,
            "options": {name: dict(own) for name, own in self.options.items()},
            "halving": self.halving,
        }

    @property
    def id(self) -> str:
        """The parent of its runs. More seeds belong to the same race, other settings do not."""
        return id_of(KIND, dict(self.model), dict(self.data), self.settings)

    @property
    def name(self) -> str:
        """What it is called."""
        names, count = dict.fromkeys(self.strategies), self.epochs
        many = f"{len(names)} strateg{'y' if len(names) == 1 else 'ies'}"
        return f"Race: {self._subject}, {many}, {count} epoch{'' if count == 1 else 's'}"

    @property
    def _subject(self) -> str:
        return f"{self.model['name']} on {data_called(self.data)}"

    def specs(self, owner: str = "") -> tuple[RunSpec, ...]:
        """Its runs: every strategy with the first seed, then with the next."""
        return tuple(
            RunSpec(
                kind=KIND,
                model=dict(self.model),
                data=dict(self.data),
                options={**self.settings, "strategy": strategy, "seed": seed},
                name=f"Race: {self._subject}, {title_of(strategy)}, seed {seed}",
                parent=self.id,
                owner=owner,
                tag=self.name,
            )
            for seed in dict.fromkeys(self.seeds)
            for strategy in dict.fromkeys(self.strategies)
        )

    def ready(
        self, results: Results, specs: Sequence[RunSpec], runs: Sequence[RunView]
    ) -> Sequence[RunSpec]:
        """Those of its runs that may begin: with halving, later seeds wait for the earlier."""
        if not self.halving:
            return specs
        seeds = tuple(dict.fromkeys(self.seeds))
        race = gather(results, runs)
        if race is None:
            return [spec for spec in specs if spec.options["seed"] == seeds[0]]
        begun = [(o.strategy, o.seed) for o in race.outcomes]
        may = {*begun, *replace(race, seeds=seeds).left}
        return [s for s in specs if (s.options["strategy"], s.options["seed"]) in may]


def gather(results: Results, runs: Iterable[RunView]) -> Race | None:
    """What the runs of one race have found so far; None before the first has measured anything."""
    runs = sorted(runs, key=lambda run: run.created)
    kept = (results.results(run.id).get(KIND) for run in runs)
    parts = [Race.from_json(json.dumps(part)) for part in kept if part]
    if not parts:
        return None
    seeds = tuple(dict.fromkeys(int(run.spec.options["seed"]) for run in runs))
    return merge([replace(parts[0], seeds=seeds, outcomes=()), *parts])


register_planner(KIND, RaceRequest.from_dict)

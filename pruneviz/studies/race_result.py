"""The result of a race of strategies, stored as JSON. Loads without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pruneviz import stored
from pruneviz.arguments import one_of, whole
from pruneviz.drawing import draw
from pruneviz.errors import InvalidValueError
from pruneviz.strategies import find_strategy
from pruneviz.studies.halving import Stand, is_rival, stand
from pruneviz.studies.published import PublishedPoint, published

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "pruneviz-race/1"


@dataclass(frozen=True)
class Outcome:
    """One strategy with one seed, at its end."""

    strategy: str
    seed: int
    macs: int
    params: int
    accuracy: float
    """On the split that the race reports, 0..1."""
    val_accuracy: float
    passes: float
    """Passes over the training images that it took."""
    seconds: float
    plan: str = field(repr=False)


@dataclass(frozen=True)
class Race:
    """The outcomes of a race so far."""

    network: str
    data: str
    split: str
    """The split that accuracies are of: "test", or "val" where there are no test images."""
    images: int
    target_macs: float
    epochs: int
    seeds: tuple[int, ...]
    strategies: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    macs: int
    """The unpruned network's."""
    params: int
    baseline: float
    """Accuracy of the network before anything was done."""
    outcomes: tuple[Outcome, ...]
    chance: float | None = None
    """Accuracy of always predicting the most common class of those images."""
    halving: bool = False
    """Whether strategies that are behind stop early (`pruneviz.studies.halving`)."""

    def __post_init__(self) -> None:
        whole("A race's macs", self.macs)
        whole("A race's params", self.params)
        for outcome in self.outcomes:
            one_of("strategy of this race", outcome.strategy, self.strategies)

    @property
    def total(self) -> int:
        """How many runs there are in all; with halving, as far as that is decided."""
        stopped = self.stopped
        return sum(stopped.get(name, len(self.seeds)) for name in self.strategies)

    @property
    def stopped(self) -> Mapping[str, int]:
        """Strategy -> the seeds after which it stopped early."""
        return self._stand().stopped

    @property
    def left(self) -> tuple[tuple[str, int], ...]:
        """The runs (strategy, seed) that may begin now: each strategy once, then the next seed."""
        now, ended = self._stand(), {(o.strategy, o.seed) for o in self.outcomes}
        return tuple(
            (name, seed)
            for number, seed in enumerate(self.seeds)
            for name in self.strategies
            if (name, seed) not in ended
            and name not in now.stopped
            and (number < now.seeds or not is_rival(name))
        )

    def _stand(self) -> Stand:
        if not self.halving:
            return Stand(len(self.seeds), {})
        accuracy = {(o.strategy, o.seed): o.val_accuracy for o in self.outcomes}
        return stand(self.strategies, self.seeds, accuracy)

    @property
    def final(self) -> bool:
        """Whether all have ended."""
        return len(self.outcomes) == self.total

    @property
    def published(self) -> tuple[PublishedPoint, ...]:
        """What papers say of these strategies with this network and these data."""
        return published(self.network, self.data)

    def settings_of(self, strategy: str) -> dict[str, Any]:
        """What `run_strategy` is given for one of its strategies, but for the seed."""
        target = {"target_macs": self.target_macs} if find_strategy(strategy).takes_target else {}
        return {**target, **self.options[strategy]}

    def of(self, strategy: str) -> tuple[Outcome, ...]:
        """The outcomes of one strategy, by seed."""
        return tuple(o for o in self.outcomes if o.strategy == strategy)

    def to_frame(self) -> pd.DataFrame:
        """One row a strategy: mean and standard deviation over its seeds so far.

        Columns: strategy, runs, accuracy, accuracy_std, macs, macs_std (fractions of the unpruned
        network's), params, passes, seconds, against_control (accuracy less the control's), stopped
        (whether it stopped early). The standard deviation is that of a sample (n - 1), nan for a
        single run.
        """
        import pandas as pd

        control, stopped = mean([o.accuracy for o in self.of("control")]), self.stopped
        rows = []
        for name in self.strategies:
            outcomes = self.of(name)
            accuracy = [o.accuracy for o in outcomes]
            macs = [o.macs / self.macs for o in outcomes]
            rows.append(
                {
                    "strategy": name,
                    "runs": len(outcomes),
                    "accuracy": mean(accuracy),
                    "accuracy_std": deviation(accuracy),
                    "macs": mean(macs),
                    "macs_std": deviation(macs),
                    "params": mean([o.params / self.params for o in outcomes]),
                    "passes": mean([o.passes for o in outcomes]),
                    "seconds": mean([o.seconds for o in outcomes]),
                    "against_control": mean(accuracy) - control,
                    "stopped": name in stopped,
                }
            )
        return pd.DataFrame(rows)

    def runs_frame(self) -> pd.DataFrame:
        """One row a run: what was raced on what, then the fields of `Outcome`."""
        import pandas as pd

        subject = {"network": self.network, "data": self.data, "split": self.split}
        return pd.DataFrame([subject | asdict(outcome) for outcome in self.outcomes])

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """Accuracy against MACs, mean and standard deviation over the seeds."""
        return draw(self, dark=dark, height=height)

    def to_json(self) -> str:
        """The race as text; `from_json` gives the same again."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Race:
        """Read a race back. Raises `InvalidValueError` for anything else."""
        return stored.read(text, "A race", FORMAT, lambda values: stored.make(cls, values))


def merge(parts: Sequence[Race]) -> Race:
    """One race of several with the same settings: their seeds and outcomes together.

    Outcomes stand in the order of a race that runs them one after another. Raises
    `InvalidValueError` where there is none, or where they differ in anything else.
    """
    if not parts:
        raise InvalidValueError("Merging races needs at least one, but got none.")
    first, *others = parts
    for other in others:
        own = ("seeds", "outcomes", "baseline", "chance")  # measured, or each part's own
        if replace(other, **{name: getattr(first, name) for name in own}) != first:
            raise InvalidValueError(
                f"Only races with the same network, data and settings can be merged, but got one "
                f"of {first.network} on {first.data} and one of {other.network} on {other.data} "
                "that differs from it."
            )
    seeds = tuple(dict.fromkeys(seed for part in parts for seed in part.seeds))
    by_run = {(o.seed, o.strategy): o for part in parts for o in part.outcomes}
    order = [(seed, name) for seed in seeds for name in first.strategies]
    outcomes = tuple(by_run[one] for one in order if one in by_run)
    return replace(first, seeds=seeds, outcomes=outcomes)


def mean(values: Sequence[float]) -> float:
    """The mean; nan of nothing."""
    return sum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; nan of fewer than two."""
    if len(values) < 2:
        return math.nan
    middle = mean(values)
    return math.sqrt(sum((v - middle) ** 2 for v in values) / (len(values) - 1))

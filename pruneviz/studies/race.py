"""The race: several strategies on the same network, data, budget and seeds.

Every strategy gets the same number of passes over the training images and the same MACs target,
once for each seed; the control fine-tunes the unpruned network with that budget. Validation images
decide within the strategies; the accuracies that are reported are of the test images where there
are any.

`race` runs them one after another in this process; `pruneviz.studies.race_queue` makes each of them
a run of its own, from the same pieces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError
from pruneviz.strategies import find_strategy, run_strategy
from pruneviz.strategies.base import StrategyEvent
from pruneviz.studies.race_result import Outcome, Race

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.data import DataSet

__all__ = ["DEFAULT", "Outcome", "Race", "line_up", "outcome", "race", "run_one"]

DEFAULT = ("taylor", "soft", "one_shot", "iterative", "uniform", "random", "control")


def race(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    strategies: Sequence[str] = DEFAULT,
    *,
    target_macs: float = 0.5,
    epochs: int = 6,
    seeds: Sequence[int] = (0, 1, 2),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    network: str | None = None,
    halving: bool = False,
    resume: Race | None = None,
    watch: Callable[[StrategyEvent], None] | None = None,
) -> Iterator[Race]:
    """Run every strategy with every seed; yields the race so far whenever one has ended.

    Args:
        model: The network, trained; it is not changed.
        graph: Its channels.
        data: Its images.
        strategies: Names; "control" makes all others comparable with mere fine-tuning.
        target_macs: The fraction of the MACs that may be left. Strategies that find the widths by
            themselves (binary search, genetic) end where they end.
        epochs: Passes over the training images that each strategy spends. The trials of a search
            come on top; `Outcome.passes` tells.
        seeds: One run of each strategy for each.
        options: Strategy -> its options, on top of those that the budget gives.
        network: What the network is called, to find published results; by default as loaded.
        halving: Whether strategies that are behind after 1, 2, 4, ... seeds stop
            (`pruneviz.studies.halving`); `Race.stopped` says which.
        resume: An unfinished race with the same settings, which goes on.
        watch: Called with every event of every run.

    Raises:
        UnknownNameError: An unknown strategy or option.
        InvalidValueError: No strategy or seed, or a race with other settings to resume.
    """
    start = line_up(
        model,
        graph,
        data,
        strategies,
        target_macs=target_macs,
        epochs=epochs,
        seeds=seeds,
        options=options,
        network=network,
        halving=halving,
    )
    if resume is not None:
        if replace(resume, outcomes=(), chance=start.chance) != start:
            raise InvalidValueError(
                "A race is resumed with the network, data and settings that it was started with."
            )
        start = replace(resume, chance=start.chance)
    return _runs(start, model, graph, data, watch)


def line_up(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    strategies: Sequence[str] = DEFAULT,
    *,
    target_macs: float = 0.5,
    epochs: int = 6,
    seeds: Sequence[int] = (0, 1, 2),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    network: str | None = None,
    halving: bool = False,
    baseline: float | None = None,
) -> Race:
    """The race before its first run: what is raced, and what each strategy may spend.

    Arguments and errors are those of `race`; `baseline` is the network's accuracy (0..1) on the
    images that are reported, where it was measured already.
    """
    from pruneviz.cost import cost
    from pruneviz.training import chance, evaluate

    names, chosen = tuple(dict.fromkeys(strategies)), tuple(dict.fromkeys(seeds))
    if not names or not chosen:
        raise InvalidValueError("A race needs at least one strategy and one seed.")
    given = options or {}
    settings: dict[str, dict[str, Any]] = {}
    for name in names:
        strategy = find_strategy(name)
        own = dict(strategy.budget(epochs, len(data.train))) | dict(given.get(name, {}))
        strategy.make_options(own)
        settings[name] = own
    split = split_of(data)
    price = cost(graph)
    if baseline is None:
        baseline = evaluate(model, data, split=split).accuracy
    return Race(
        network=network if network is not None else _called(model),
        data=data.name,
        split=split,
        images=len(data.split(split)),
        target_macs=target_macs,
        epochs=epochs,
        seeds=chosen,
        strategies=names,
        options=settings,
        macs=price.macs,
        params=price.params,
        baseline=baseline,
        outcomes=(),
        chance=chance(data.split(split)),
        halving=halving,
    )


def split_of(data: DataSet) -> str:
    """The split that a race reports: "test", or "val" where there are no test images."""
    return "val" if data.test is None else "test"


def run_one(
    race: Race,
    strategy: str,
    seed: int,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    resume: Mapping[str, Any] | None = None,
) -> Iterator[StrategyEvent]:
    """Run one strategy of a race with one seed; events and `resume` as of `run_strategy`."""
    return run_strategy(
        strategy,
        model,
        graph,
        data,
        seed=seed,
        resume=resume,
        **race.settings_of(strategy),
    )


def outcome(seed: int, last: StrategyEvent, accuracy: float, seconds: float) -> Outcome:
    """What a run has come to by its last event; `accuracy` is on the split that is reported."""
    return Outcome(
        strategy=last.strategy,
        seed=seed,
        macs=last.macs,
        params=last.params,
        accuracy=accuracy,
        val_accuracy=last.accuracy,
        passes=last.passes,
        seconds=seconds,
        plan=last.plan,
    )


def _runs(
    race: Race,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    watch: Callable[[StrategyEvent], None] | None,
) -> Iterator[Race]:
    from pruneviz.training import evaluate

    while waiting := race.left:
        name, seed = waiting[0]
        begun = time.perf_counter()
        last = None
        for last in run_one(race, name, seed, model, graph, data):
            if watch is not None:
                watch(last)
        assert last is not None
        assert last.result is not None
        accuracy = evaluate(last.result.model, data, split=race.split).accuracy
        one = outcome(seed, last, accuracy, time.perf_counter() - begun)
        race = replace(race, outcomes=(*race.outcomes, one))
        yield race


def _called(model: nn.Module) -> str:
    from pruneviz.catalog import describe_model

    try:
        return describe_model(model).source.name
    except InvalidValueError:
        return type(model).__name__

"""The race: several strategies on the same network, data, budget and seeds.

Every strategy gets the same number of passes over the training images and the same MACs target,
once for each seed; the control fine-tunes the unpruned network with that budget. Validation images
decide within the strategies; the accuracies that are reported are of the test images where there
are any.
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

__all__ = ["DEFAULT", "Outcome", "Race", "race"]

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
        resume: An unfinished race with the same settings, which goes on.
        watch: Called with every event of every run.

    Raises:
        UnknownNameError: An unknown strategy or option.
        InvalidValueError: No strategy or seed, or a race with other settings to resume.
    """
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
    start = _start(model, graph, data, names, target_macs, epochs, chosen, settings, network)
    if resume is not None:
        if replace(resume, outcomes=(), chance=start.chance) != start:
            raise InvalidValueError(
                "A race is resumed with the network, data and settings that it was started with."
            )
        start = replace(resume, chance=start.chance)
    return _runs(start, model, graph, data, watch)


def _start(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    names: tuple[str, ...],
    target_macs: float,
    epochs: int,
    seeds: tuple[int, ...],
    options: Mapping[str, Mapping[str, Any]],
    network: str | None,
) -> Race:
    from pruneviz.cost import cost
    from pruneviz.training import chance, evaluate

    split = "val" if data.test is None else "test"
    price = cost(graph)
    return Race(
        network=network if network is not None else _called(model),
        data=data.name,
        split=split,
        images=len(data.split(split)),
        target_macs=target_macs,
        epochs=epochs,
        seeds=seeds,
        strategies=names,
        options=options,
        macs=price.macs,
        params=price.params,
        baseline=evaluate(model, data, split=split).accuracy,
        outcomes=(),
        chance=chance(data.split(split)),
    )


def _runs(
    race: Race,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    watch: Callable[[StrategyEvent], None] | None,
) -> Iterator[Race]:
    from pruneviz.training import evaluate

    ended = {(o.strategy, o.seed) for o in race.outcomes}
    for seed in race.seeds:  # every strategy once, before the second seed
        for name in race.strategies:
            if (name, seed) in ended:
                continue
            begun = time.perf_counter()
            last = None
            for last in run_strategy(
                name,
                model,
                graph,
                data,
                target_macs=race.target_macs if find_strategy(name).takes_target else None,
                seed=seed,
                **race.options[name],
            ):
                if watch is not None:
                    watch(last)
            assert last is not None
            assert last.result is not None
            evaluation = evaluate(last.result.model, data, split=race.split)
            outcome = Outcome(
                strategy=name,
                seed=seed,
                macs=last.macs,
                params=last.params,
                accuracy=evaluation.accuracy,
                val_accuracy=last.accuracy,
                passes=last.passes,
                seconds=time.perf_counter() - begun,
                plan=last.plan,
            )
            race = replace(race, outcomes=(*race.outcomes, outcome))
            yield race


def _called(model: nn.Module) -> str:
    from pruneviz.catalog import describe_model

    try:
        return describe_model(model).source.name
    except InvalidValueError:
        return type(model).__name__

"""Ways to prune, one per file: a registry, and `run_strategy`, which runs any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import network, whole
from pruneviz.errors import DataError, PlanError
from pruneviz.strategies.base import FrontPoint, Strategy, StrategyEvent, StrategyResult
from pruneviz.strategies.options import FineTuning, OneOff, OptionInfo, option
from pruneviz.strategies.registry import find_strategy, names, strategies

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.data import DataSet
    from pruneviz.strategies.run import Run

__all__ = [
    "FineTuning",
    "FrontPoint",
    "OneOff",
    "OptionInfo",
    "Strategy",
    "StrategyEvent",
    "StrategyResult",
    "begin",
    "find_strategy",
    "names",
    "option",
    "run_strategy",
    "strategies",
]


def run_strategy(
    name: str | Strategy,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    target_macs: float | None = None,
    seed: int = 0,
    resume: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[StrategyEvent]:
    """Prune a network by one of the `strategies()`; yields an event at every step.

    The network is not changed: the last event has `final` set, and its `result` holds the pruned
    network and the plan. Every event has the units left, MACs, parameters, loss and validation
    accuracy (0..1).

    Args:
        name: One of `strategies()`, or a strategy of your own.
        model: The trained network (a few strategies fine-tune it first).
        graph: Its channels, from `trace`.
        data: Its images: `train` trains, `val` decides; `test` is never touched.
        target_macs: The fraction of the MACs to keep, 0..1; by default 0.5, unless the
            strategy has no MACs target or an option (`target_params`, `min_accuracy`) says where
            to stop.
        seed: Seeds everything random; the same seed gives the same network again.
        resume: The `state` of an event of a run with the same settings, network and data: the run
            continues after that event and ends with bit-identical weights.
        options: The strategy's own; `find_strategy(name).fields` describes them.

    Raises:
        UnknownNameError: An unknown strategy, option or choice.
        InvalidValueError: An option or target outside its range, or one that cannot be reached.
        DataError: There are no images to train or to validate with.

    Example:
        >>> some = {"target_macs": 0.5, "epochs": 0}  # no fine-tuning after the repair
        >>> *_, last = pv.run_strategy("uniform", model, graph, data, **some)
        >>> last.final, pv.cost(graph, last.result.plan).macs_ratio <= 0.5
        (True, True)
    """
    strategy = name if isinstance(name, Strategy) else find_strategy(name)
    run = begin(
        strategy, model, graph, data, target_macs=target_macs, seed=seed, resume=resume, **options
    )
    return run.events()


def begin(
    strategy: Strategy,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    target_macs: float | None = None,
    seed: int = 0,
    resume: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Check everything and return the run of a strategy, before its first event.

    Arguments and errors are those of `run_strategy`.
    """
    from pruneviz.channels import check_graph

    network(model)
    check_graph(graph)
    whole("seed", seed, 0)
    if not graph.prunable_groups:
        raise PlanError("Nothing in this network can be pruned; graph.to_frame() says why.")
    if data is None:
        raise DataError("A strategy trains and validates, so it needs a data set; load one first.")
    from pruneviz.data import check_data

    for split in ("train", "val"):
        check_data(data).split(split)
    from pruneviz.strategies.budget import Target, check
    from pruneviz.strategies.checkpoint import as_begun, restore
    from pruneviz.strategies.run import Run

    chosen = strategy.make_options(as_begun(strategy, options, resume))
    stops = any(getattr(chosen, name) is not None for name in strategy.other_targets)
    target = strategy.default_target if target_macs is None and not stops else target_macs
    if not strategy.takes_target:
        target = None
    check(graph, Target(macs=target))
    run = Run(strategy, model, graph, data, target, seed, chosen)
    if resume is not None:
        restore(run, resume)
    return run

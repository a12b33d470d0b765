"""Uniform: the same ratio in every group, once, then fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import by_ratio, reach
from pruneviz.strategies.options import OneOff, option, params_target
from pruneviz.strategies.run import Run


@dataclass(frozen=True)
class Options(OneOff):
    """How units are chosen, and the fine-tuning."""

    criterion: str = option(
        "l1",
        "Criterion by which a group's units are compared.",
        choices="criteria",
        label="Criterion",
    )
    target_params: float | None = params_target()


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Rank, remove the lowest of every group at one ratio that meets the target, fine-tune."""
    run.steps = options.epochs + 2
    if run.once("prune"):
        scores = run.rank(options.criterion, "prune", comparable=False)
        target = replace(run.target, params=options.target_params)
        run.shrink(reach(run.graph, by_ratio(run.graph, scores), target), repair=options.repair)
        yield run.event("prune", f"Removed {len(run.plan)} units, the same share everywhere")
    yield from run.fine_tune("final", options.epochs)


STRATEGY = Strategy(
    name="uniform",
    title="Uniform",
    help="Removes the same share of every layer's filters at once, then fine-tunes.",
    paper="",
    options=Options,
    run=run,
    other_targets=("target_params",),
)

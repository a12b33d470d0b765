"""Iterative: remove a part, fine-tune, rank again, and repeat, by any criterion.

Han, Pool, Tran & Dally (2015), *Learning both Weights and Connections for Efficient Neural
Networks*, introduced the loop for weights; here it removes whole filters. The MACs fall by the
same factor in each of the n steps: after step k, target^(k / n) of them are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import Target, by_ratio, by_score, reach
from pruneviz.strategies.details import Removals
from pruneviz.strategies.options import OneOff, option
from pruneviz.strategies.run import Run


@dataclass(frozen=True)
class Options(OneOff):
    """The loop, and the fine-tuning at its end."""

    criterion: str = option(
        "l1", "Criterion by which units are compared.", choices="criteria", label="Criterion"
    )
    scope: str = option(
        "global",
        "Compare units over all layers, or prune every group at the same ratio.",
        choices={"global": "all layers together", "group": "each group alike"},
        label="Pruning scope",
    )
    rounds: int = option(
        4, "Number of steps in which units are removed.", minimum=1, label="Removal rounds"
    )
    epochs_between: int = option(
        1,
        "Epochs of fine-tuning after each round but the last.",
        minimum=0,
        label="Fine-tuning between rounds",
        unit="epochs",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Rank the current network, remove units, fine-tune; `rounds` times."""
    rounds = options.rounds
    run.steps = rounds + (rounds - 1) * options.epochs_between + options.epochs + 1
    between = replace(options, epochs=options.epochs_between)
    for k in range(1, rounds + 1):
        if run.once(f"prune {k}"):
            share = (run.target.macs or 1.0) ** (k / rounds)
            wide = options.scope == "global"
            scores = run.rank(options.criterion, f"prune {k}", comparable=wide)
            left = run.plan
            if wide:
                order = by_score(run.graph, scores, left)
            else:
                order = by_ratio(run.graph, scores, plan=left)
            before = len(left)
            run.shrink(reach(run.graph, order, Target(macs=share), left), repair=options.repair)
            gone = len(run.plan) - before
            run.details = Removals(scores[None], run.plan.kept[None])
            yield run.event("prune", f"Round {k} of {rounds}: removed {gone} units")
        if k < rounds:
            yield from run.fine_tune(f"between {k}", options.epochs_between, options=between)
    yield from run.fine_tune("final", options.epochs)


def budget(epochs: int, images: int) -> dict[str, int]:
    """Half of the epochs between the rounds, one per round; the other half at the end."""
    between = epochs // 2
    return {
        "rounds": between + 1,
        "epochs_between": 1,
        "epochs": epochs - between,
    }


STRATEGY = Strategy(
    name="iterative",
    title="Iterative",
    help="Removes filters in several steps, fine-tuning and ranking again after each.",
    paper="Han et al. 2015, arXiv:1506.02626",
    options=Options,
    run=run,
    budget=budget,
)

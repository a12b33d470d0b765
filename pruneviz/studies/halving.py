"""Successive halving: strategies that are behind stop early, so that a race costs less.

After 1, 2, 4, ... seeds the strategies are compared by their mean validation accuracy so far: the
better half goes on to twice as many seeds, the others stop. Who is as accurate as the last one that
goes on, goes on too. Test images decide nothing. Strategies that do not end at the MACs target (the
control, a search for the widths) are no rivals of the others and never stop.

Jamieson & Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
AISTATS 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pruneviz.strategies import find_strategy

ROUNDING = 1e-9
"""Of a mean; less than one image of a billion."""


@dataclass(frozen=True)
class Stand:
    """How far a race has come: the seeds that are open to rivals, and who has stopped."""

    seeds: int
    stopped: Mapping[str, int]
    """Strategy -> the seeds after which it stopped."""


def stand(
    strategies: Sequence[str], seeds: Sequence[int], accuracy: Mapping[tuple[str, int], float]
) -> Stand:
    """Decide by the validation accuracies (0..1) of the runs (strategy, seed) that have ended.

    A comparison waits until all that take part in it have run.
    """
    rivals = [name for name in strategies if is_rival(name)]
    stopped: dict[str, int] = {}
    count = 1
    while count < len(seeds):
        compared = seeds[:count]
        if any((name, seed) not in accuracy for name in rivals for seed in compared):
            break
        means = {name: sum(accuracy[name, seed] for seed in compared) / count for name in rivals}
        middle = sorted(means.values(), reverse=True)[(len(rivals) - 1) // 2] if rivals else 0.0
        stopped |= {name: count for name in rivals if means[name] < middle - ROUNDING}
        rivals = [name for name in rivals if name not in stopped]
        count *= 2
    return Stand(min(count, len(seeds)), stopped)


def is_rival(strategy: str) -> bool:
    """Whether a strategy is compared: it ends at the MACs target, as its rivals do."""
    return find_strategy(strategy).reaches_target

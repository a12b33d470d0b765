"""A budget in milliseconds: what the groups' times promise, corrected until what is measured fits.

The predicted time of a plan (`pruneviz.latency.groups`) leaves out how groups act together. So the
plan for the target is timed, the budget is scaled by what the prediction missed, and so on; once
one plan took longer and one did not, the next is sought between these two, until one takes no more
than the target and at least 95 % of it.

Plans are timed in alternation with the unpruned network: other programs slow both down alike, so
the ratio of the two is what counts (of their quickest tenths, which other programs disturb least),
times the unpruned network's time in its quickest measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from pruneviz.allocation.greedy import Budget, unprotected
from pruneviz.arguments import number
from pruneviz.channels import ChannelGraph
from pruneviz.errors import InvalidValueError
from pruneviz.latency import BASELINE, PRUNED, latency
from pruneviz.latency.groups import group_times
from pruneviz.plan import Plan

ROUNDS = 10
NEAR = 0.95
"""A plan that takes less than this fraction of the target is not the last that is tried."""
QUICKER = 0.92
"""One that takes less than this prunes more than was asked for."""
NOISE = 1.03
"""Two measurements of one ratio of times differ by up to this factor."""
TABLE = {"repeats": 20, "seconds": 0.5}
"""How each network of the table is timed, at most."""
CHECK = {"repeats": 200, "seconds": 6.0}
"""How plans are timed."""


@dataclass(frozen=True)
class LatencyTarget:
    """Milliseconds that a batch may take; `options` are those of `measure_latency`."""

    model: nn.Module
    graph: ChannelGraph
    milliseconds: float
    options: Mapping[str, Any] = field(default_factory=dict)
    _unpruned: list[float] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        number("target_latency (milliseconds)", self.milliseconds, 1e-6)

    def budget(self, protected: Iterable[str]) -> Budget:
        """The budget that predicted times give.

        Raises:
            InvalidValueError: Even one unit in every group that may be pruned takes longer.
        """
        groups = unprotected(self.graph, protected)
        given = {**TABLE, **self.options, "progress": False}
        times = group_times(self.model, self.graph, groups, **given)
        self._unpruned.append(1e3 * times.seconds)
        wanted = Budget(self.graph, 1.0, groups, times.ratio)
        reached = self.ratio(wanted.narrowest) * self.unpruned
        if reached > self.milliseconds:
            raise InvalidValueError(
                f"{self.milliseconds:g} ms cannot be reached: with one unit left in every group "
                f"that may be pruned, a batch still takes {reached:.3g} ms here."
            )
        return replace(wanted, target=min(1.0, self.milliseconds / self.unpruned))

    @property
    def unpruned(self) -> float:
        """Milliseconds of a batch in the unpruned network: of its medians so far, the least."""
        if not self._unpruned:
            self.ratio(Plan(self.graph))
        return min(self._unpruned)

    def ratio(self, plan: Plan) -> float:
        """The measured fraction of the unpruned network's time that a plan leaves."""
        options = {**CHECK, **self.options, "progress": False}
        timed = latency(self.model, self.graph, plan, **options)
        self._unpruned.append(1e3 * timed.of(BASELINE).median)
        if not len(plan):
            return 1.0
        pruned, whole = (np.quantile(timed.of(name).seconds, 0.1) for name in (PRUNED, BASELINE))
        return float(pruned / whole)

    def share(self, ratio: float) -> float:
        """What fraction of the target a batch takes: 1 is the target itself."""
        return ratio * self.unpruned / self.milliseconds

    def met(self, plan: Plan) -> bool:
        """Whether what a plan leaves takes no longer, noise aside, and hardly less than asked."""
        taken = self.share(self.ratio(plan))
        return taken <= NOISE and (taken >= QUICKER or not len(plan))

    def settle(self, wanted: Budget, plan_of: Callable[[Budget], Plan]) -> Budget:
        """The budget whose plan is measured to take the target, or a little less.

        Of those tried, the one that takes longest within the target. Where none fits (times that
        jump with the width), that of the quickest plan.
        """
        floor = wanted.used(wanted.narrowest)
        seen: dict[Plan, float] = {}
        tried: list[tuple[float, Budget]] = []
        for _ in range(ROUNDS):
            plan = plan_of(wanted)
            if plan not in seen:
                seen[plan] = self.ratio(plan)
            tried.append((seen[plan], wanted))
            taken = self.share(seen[plan])
            if NEAR <= taken <= 1 or (taken <= 1 and wanted.target >= 1):
                break
            fitted = [b.target for r, b in tried if self.share(r) <= 1]
            longer = [b.target for r, b in tried if self.share(r) > 1]
            goal = wanted.target * (1 + NEAR) / 2 / taken
            if fitted and longer and not max(fitted) < goal < min(longer):
                goal = (max(fitted) * min(longer)) ** 0.5
            wanted = replace(wanted, target=min(1.0, max(goal, floor)))
        fits = [pair for pair in tried if self.share(pair[0]) <= 1]
        best = max if fits else min
        return best(fits or tried, key=lambda pair: pair[0])[1]

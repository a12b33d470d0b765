"""A budget in milliseconds: what the groups' times promise, corrected until what is measured fits.

The predicted time of a plan (`pruneviz.latency.groups`) leaves out how groups act together. So the
plan for the target is timed, the target is scaled by what the prediction missed, and so on, until
a plan takes no more than the target and at least 95 % of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from pruneviz.arguments import number
from pruneviz.channels import ChannelGraph
from pruneviz.errors import InvalidValueError
from pruneviz.greedy import Budget, unprotected
from pruneviz.latency import BASELINE, PRUNED, latency
from pruneviz.latency.groups import group_times
from pruneviz.plan import Plan

ROUNDS = 6
NEAR = 0.95
NOISE = 1.05
"""Two measurements of one network differ by up to this factor on a quiet machine."""
TABLE = {"repeats": 20, "seconds": 0.5}
"""How each network of the table is timed, at most."""
CHECK = {"repeats": 60, "seconds": 6.0}
"""How plans are timed."""


@dataclass(frozen=True)
class LatencyTarget:
    """Milliseconds that a batch may take; `options` are those of `measure_latency`."""

    model: nn.Module
    graph: ChannelGraph
    milliseconds: float
    options: Mapping[str, Any] = field(default_factory=dict)

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
        target = self.milliseconds / (1e3 * times.seconds)
        wanted = Budget(self.graph, min(1.0, target), groups, times.ratio)
        reached = self.measure(wanted.narrowest)
        if reached > self.milliseconds:
            raise InvalidValueError(
                f"{self.milliseconds:g} ms cannot be reached: with one unit left in every group "
                f"that may be pruned, a batch still takes {reached:.3g} ms here."
            )
        return wanted

    def measure(self, plan: Plan) -> float:
        """The median milliseconds of a batch in the network that a plan leaves."""
        options = {**CHECK, **self.options, "progress": False}
        timed = latency(self.model, self.graph, plan, **options)
        return 1e3 * timed.of(PRUNED if len(plan) else BASELINE).median

    def met(self, plan: Plan) -> bool:
        """Whether what a plan leaves is measured to take no longer, noise aside."""
        return self.measure(plan) <= NOISE * self.milliseconds

    def settle(self, wanted: Budget, plan_of: Callable[[Budget], Plan]) -> Budget:
        """The budget whose plan is measured to take the target, or a little less.

        Where none fits (times that jump with the width), that of the quickest plan.
        """
        fits = None
        quickest: tuple[float, Budget] | None = None
        for _ in range(ROUNDS):
            taken = self.measure(plan_of(wanted))
            if quickest is None or taken < quickest[0]:
                quickest = taken, wanted
            if taken <= self.milliseconds:
                fits = wanted
                if taken >= NEAR * self.milliseconds or wanted.target >= 1:
                    break
            goal = wanted.target * (1 + NEAR) / 2 * self.milliseconds / taken
            wanted = replace(wanted, target=min(1.0, max(goal, wanted.used(wanted.narrowest))))
        assert quickest is not None
        return quickest[1] if fits is None else fits

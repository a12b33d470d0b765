"""How far each removal of interleaved pruning goes, on the way to its target."""

from __future__ import annotations

from dataclasses import dataclass

from pruneviz.channels import ChannelGraph, IntArray
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies.budget import Target, reach

ITERATIONS = 15
"""Removals on the way to the target where no option says how many."""


@dataclass(frozen=True)
class Pace:
    """Either so many units at each removal, or so many removals of equal shrinkage."""

    remove_each: int | None = None
    iterations: int | None = None

    def next_plan(
        self, graph: ChannelGraph, target: Target, order: IntArray, before: Plan, iteration: int
    ) -> tuple[Plan, int]:
        """The plan after the next removal, and how many iterations are done then.

        Args:
            graph: The network's channels.
            target: What the removals lead to; none goes further than it needs.
            order: The units that are left, first to go first.
            before: The plan so far.
            iteration: How many iterations are done.
        """
        iteration += 1
        if self.iterations is not None:
            step = _part(target, iteration / self.iterations)
            while step.met(graph, before) and not target.met(graph, before):
                iteration += 1  # an earlier removal went further than it had to
                step = _part(target, iteration / self.iterations)
            return reach(graph, order, step, before), iteration
        lowest = order[: self.remove_each]
        most = before.drop_units(lowest.tolist())
        if target.limited and target.met(graph, most):
            return reach(graph, lowest, target, before), iteration
        return most, iteration


def pace_of(
    graph: ChannelGraph, target: Target, remove_each: int | None, iterations: int | None
) -> Pace:
    """The pace that these options ask for.

    If only accuracy ends the loop, nobody knows how far it goes: each removal then takes the share
    of all units that would leave none after twice `ITERATIONS` of them.

    Raises:
        InvalidValueError: Both options are given, or `iterations` without a target.
    """
    if iterations is not None and remove_each is not None:
        raise InvalidValueError(
            f"Either remove_each or iterations decides the removals, but got both "
            f"({remove_each} and {iterations}); leave one out."
        )
    if iterations is not None and not target.limited:
        raise InvalidValueError(
            "iterations needs a target, but none is set; give target_macs or target_params, or "
            "leave iterations out."
        )
    if remove_each is None and iterations is None:
        if target.limited:
            return Pace(iterations=ITERATIONS)
        units = int(graph.prunable.sum())
        return Pace(remove_each=max(1, units // (2 * ITERATIONS)))
    return Pace(remove_each, iterations)


def _part(target: Target, part: float) -> Target:
    """What may be left after this part (0..1) of the way, in steps of equal shrinkage."""
    part = min(part, 1.0)
    return Target(
        macs=None if target.macs is None else target.macs**part,
        params=None if target.params is None else target.params**part,
    )

"""What each group's width does to the network's time, and from it the time of any plan.

Every group is narrowed alone, the whole network is timed, and a plan's time is predicted as

    T(plan) = T(unpruned) * prod_g r_g(width of g in the plan)

with r_g the measured fraction of the unpruned time, linear between measured widths, and falling, if
only a little, as the group gets narrower: where times do not, more pruning would seem to lead
nowhere. The factors multiply because a layer's time falls with its inputs and its outputs; what the
product misses shows when the plan itself is timed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pruneviz.channels import ChannelGraph, Group
from pruneviz.latency.measure import measure_latency
from pruneviz.plan import Plan

if TYPE_CHECKING:
    from torch import nn

FRACTIONS = (0.75, 0.5, 0.25, 0.0)
"""Widths that are timed, as fractions of a group's; one unit stays."""
LEAST = 0.002
"""What a group is taken to save at least when it goes whole, as a fraction of the time."""


@dataclass(frozen=True, eq=False)
class GroupTimes:
    """The unpruned network's median seconds, and each group's fractions of it by width."""

    seconds: float
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]]
    """Widths, rising, and the fractions of `seconds` that they leave; a group that is not here
    stays whole."""

    def of(self, plan: Plan) -> float:
        """The predicted seconds of a batch."""
        return self.seconds * self.ratio(plan)

    def ratio(self, plan: Plan) -> float:
        """The predicted fraction of the unpruned network's time."""
        kept = plan.kept
        left = 1.0
        for name, (widths, fractions) in self.curves.items():
            units = plan.graph.group(name).units
            left *= float(np.interp(int(kept[units.start : units.stop].sum()), widths, fractions))
        return left


def group_times(
    model: nn.Module, graph: ChannelGraph, groups: Iterable[Group], **options: Any
) -> GroupTimes:
    """Time the network with each group narrowed alone, all of them side by side.

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels.
        groups: Those that may be pruned.
        options: Those of `measure_latency`; `seconds` are for each network.
    """
    from pruneviz.surgery import prune

    tried = {(g.name, width): g for g in groups for width in _widths(g)}
    networks = {"": model}
    for (name, width), group in tried.items():
        networks[f"{name}:{width}"] = prune(model, graph, Plan(graph, list(group.units)[width:]))
    if "seconds" in options:
        options["seconds"] *= len(networks)
    timed = measure_latency(networks, graph.input_shape, **options)
    whole = timed.of("").median
    curves = {}
    for group in dict.fromkeys(tried.values()):
        widths = [*_widths(group), group.width]
        left = [timed.of(f"{group.name}:{w}").median / whole for w in widths[:-1]]
        curves[group.name] = widths, falling(widths, [*left, 1.0])
    return GroupTimes(whole, curves)


def falling(widths: Sequence[int], fractions: Sequence[float]) -> list[float]:
    """Fractions of at most the last one, each smaller than those of greater widths.

    A half narrower group counts as one that saves at least a thousandth of the time.
    """
    left = [float(fractions[-1])]
    for i in range(len(widths) - 2, -1, -1):
        step = LEAST * (widths[i + 1] - widths[i]) / widths[-1]
        left.append(min(float(fractions[i]), left[-1] - step))
    return left[::-1]


def _widths(group: Group) -> list[int]:
    return sorted({max(1, round(f * group.width)) for f in FRACTIONS} - {group.width})

"""Which units to prune to meet a target of MACs or parameters.

Everything is exact arithmetic on the channel graph. A *removal order* lists units so that every
prefix is a plan; the MACs fall with the length of the prefix, so the shortest prefix that meets a
target is found by bisection, in log2(units) evaluations of `cost`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import number
from pruneviz.channels import ChannelGraph, Group, IntArray
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """How much may be left, as fractions (0..1) of the unpruned network's; None: no limit."""

    macs: float | None = None
    params: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("target_macs", self.macs), ("target_params", self.params)):
            if value is not None and number(name, value, 0, 1) == 0:
                raise InvalidValueError(
                    f"{name} is the fraction that may be left, above 0 and at most 1, but got 0."
                )

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.macs is not None or self.params is not None

    def met(self, graph: ChannelGraph, plan: Plan) -> bool:
        """Whether the network that the plan leaves is within every limit."""
        price = cost(graph, plan)
        return (self.macs is None or price.macs_ratio <= self.macs) and (
            self.params is None or price.params_ratio <= self.params
        )

    def __str__(self) -> str:
        parts = [
            f"{value:.3g} of the {name}"
            for name, value in (("MACs", self.macs), ("parameters", self.params))
            if value is not None
        ]
        return " and ".join(parts) or "no limit"


def by_score(graph: ChannelGraph, scores: FloatArray, plan: Plan | None = None) -> IntArray:
    """The order over all groups: lowest score first; the best unit of every group stays.

    Args:
        graph: The network's channels.
        scores: (num_units,) comparable over groups, higher = keep.
        plan: What has been pruned already, and is not listed again.
    """
    listed = []
    for group in graph.prunable_groups:
        own = _lowest_first(group, scores, plan)
        listed.append(own[:-1])
    pool = np.concatenate(listed) if listed else np.empty(0, np.int64)
    order: IntArray = pool[np.argsort(scores[pool], kind="stable")]
    return order


def by_ratio(
    graph: ChannelGraph,
    scores: FloatArray,
    ratios: Mapping[str, float] | None = None,
    plan: Plan | None = None,
) -> IntArray:
    """The order in which all groups lose the same share, or shares in the given proportions.

    The k-th lowest unit (from 0) of a group of width w with ratio r comes at (k + 1/2) / (w r), so
    that every prefix is the plan of one common factor, with the rounding of `threshold`.

    Args:
        graph: The network's channels.
        scores: (num_units,) compared within groups only, higher = keep.
        ratios: Group name -> relative ratio; 1 for all by default. Groups with 0 stay whole.
        plan: What has been pruned already: it counts as the lowest, and is not listed again.
    """
    units, when = [], []
    for group in graph.prunable_groups:
        share = 1.0 if ratios is None else ratios.get(group.name, 0.0)
        if share <= 0:
            continue
        own = _lowest_first(group, scores, plan)
        gone = group.width - own.size
        units.append(own[:-1])
        when.append((np.arange(gone, group.width - 1) + 0.5) / (group.width * share))
    if not units:
        return np.empty(0, np.int64)
    order: IntArray = np.concatenate(units)[np.argsort(np.concatenate(when), kind="stable")]
    return order


def reach(graph: ChannelGraph, order: IntArray, target: Target, plan: Plan | None = None) -> Plan:
    """The shortest prefix of the order that meets the target, on top of what a plan prunes.

    Raises:
        InvalidValueError: Not even the whole order meets it; the message says what can be met.
    """
    start = plan if plan is not None else Plan(graph)

    def first(count: int) -> Plan:
        return start.drop_units(order[:count].tolist())

    low, high = 0, len(order)
    if not target.met(graph, first(high)):
        raise InvalidValueError(_too_low(graph, target, first(high)))
    while low < high:
        middle = (low + high) // 2
        if target.met(graph, first(middle)):
            high = middle
        else:
            low = middle + 1
    return first(low)


def lowest(graph: ChannelGraph, scores: FloatArray, counts: Mapping[str, int]) -> Plan:
    """Prune this many of the lowest units of each group; at least one stays."""
    gone: list[int] = []
    for name, count in counts.items():
        ordered = _lowest_first(graph.group(name), scores, None)
        gone += ordered[: min(count, ordered.size - 1)].tolist()
    return Plan(graph, gone)


def check(graph: ChannelGraph, target: Target) -> None:
    """Raise `InvalidValueError` if even one unit per group is too much for the target."""
    order = by_score(graph, np.zeros(graph.num_units))
    least = Plan(graph, order.tolist())
    if not target.met(graph, least):
        raise InvalidValueError(_too_low(graph, target, least))


def _too_low(graph: ChannelGraph, target: Target, least: Plan) -> str:
    price = cost(graph, least)
    return (
        f"The target is {target}, but the smallest plan leaves {price.macs_ratio:.3g} of the "
        f"MACs and {price.params_ratio:.3g} of the parameters (one unit of every group stays); "
        "choose a higher target."
    )


def _lowest_first(group: Group, scores: FloatArray, plan: Plan | None) -> IntArray:
    units: Iterable[int] = group.units
    left = np.asarray([u for u in units if plan is None or plan.kept[u]], dtype=np.int64)
    ordered: IntArray = left[np.argsort(scores[left], kind="stable")]
    return ordered

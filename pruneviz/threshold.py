"""threshold(): the plan that prunes the units with the lowest scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import one_of, several, whole
from pruneviz.channels import ChannelGraph, Group, check_graph
from pruneviz.errors import InvalidValueError, PlanError, shown
from pruneviz.plan import Plan, clause, from_kept
from pruneviz.stages import group_title

Scope = Literal["group", "global"]


class Scores(Protocol):
    """What `threshold` needs of a ranking (`pruneviz.rank` makes one)."""

    def of(self, criterion: str) -> npt.NDArray[np.float64]:
        """(num_units,) scores, higher = keep."""
        ...

    def comparable(self, criterion: str) -> npt.NDArray[np.float64]:
        """(num_units,) scores made comparable over groups, higher = keep."""
        ...


def threshold(
    graph: ChannelGraph,
    rank: Scores,
    criterion: str,
    ratio: float | Mapping[str, float],
    scope: Scope = "group",
    *,
    protected: Iterable[str] = (),
    multiple_of: int = 1,
) -> Plan:
    """Prune the units with the lowest scores.

    With scope "group", every group loses round(ratio * width) units; with scope "global", all
    groups together lose round(ratio * all units), compared by scores that are normalised within
    each group (Molchanov et al. 2016). At least one unit of every group stays.

    Args:
        graph: The network's channels.
        rank: A ranking that holds the criterion.
        criterion: Its name.
        ratio: Fraction of units pruned, 0..1; with scope "group" also a mapping from group name
            to ratio (groups that it does not name stay whole).
        scope: "group" or "global".
        protected: Groups that must stay unpruned.
        multiple_of: Units kept in a group are rounded up to a multiple of this.

    Raises:
        InvalidValueError: A ratio outside 0..1, or `multiple_of` below 1.
        UnknownNameError: An unknown criterion, group or scope.

    Example:
        >>> ranking = pv.rank(model, graph, None, "l1")
        >>> pv.threshold(graph, ranking, "l1", 0.5)
        Plan(200 of 400 units pruned)
        >>> pv.threshold(graph, ranking, "l1", {"layer1.0.conv1": 0.25}).by_group().keys()
        dict_keys(['layer1.0.conv1'])
    """
    check_graph(graph)
    one_of("scope", scope, ("group", "global"))
    whole("multiple_of", multiple_of)
    safe = {graph.group(str(name)).name for name in several("protected", protected)}
    groups = [g for g in graph.prunable_groups if g.name not in safe]
    if scope == "global":
        if isinstance(ratio, Mapping):
            raise InvalidValueError(
                'With scope "global" the ratio is one number, but got a mapping.'
            )
        comparable = _scores(graph, groups, rank, criterion, "comparable")
        counts = _global_counts(graph, groups, comparable, _checked(ratio))
    else:
        counts = _group_counts(graph, groups, ratio)
    scores = _scores(graph, groups, rank, criterion, "of")
    kept = np.ones(graph.num_units, dtype=bool)
    for group, count in zip(groups, counts, strict=True):
        stay = group.width - count
        stay = min(-(-stay // multiple_of) * multiple_of, group.width)
        own = scores[group.start : group.start + group.width]
        order = np.argsort(own, kind="stable")
        kept[group.start + order[: group.width - stay]] = False
    return from_kept(graph, kept)


def _scores(
    graph: ChannelGraph, groups: list[Group], rank: Scores, criterion: str, way: str
) -> npt.NDArray[np.float64]:
    """(num_units,) what `rank.of` or `rank.comparable` gives, checked to be of this network."""
    of = getattr(rank, "graph", graph)
    if of is not graph and getattr(of, "digest", None) != graph.digest:
        raise InvalidValueError(
            "This ranking was made for another network; rank this one: pv.rank(model, graph, data)."
        )
    if not callable(getattr(rank, way, None)):
        raise InvalidValueError(
            f"rank must be a ranking, but got {shown(rank)}; pv.rank(model, graph, data) makes one."
        )
    scores: npt.NDArray[np.float64] = np.asarray(getattr(rank, way)(criterion))
    if scores.shape != (graph.num_units,):
        raise InvalidValueError(
            f"A ranking of this network has {graph.num_units} scores, but this one has the shape "
            f"{scores.shape}; rank this network."
        )
    for group in groups:
        missing = int(np.isnan(scores[group.start : group.start + group.width]).sum())
        if missing:
            title = group_title(graph, group.name)
            raise InvalidValueError(
                f"Criterion '{criterion}' gives {missing} of the {group.width} units of group "
                f"'{title}' no score (NaN); rank again, or protect the group."
            )
    return scores


def _checked(ratio: object, group: str | None = None) -> float:
    where = f" for group '{group}'" if group else ""
    real = isinstance(ratio, (Real, np.floating)) and not isinstance(ratio, bool)
    if not real or not 0 <= float(ratio) <= 1:  # type: ignore[arg-type]
        raise InvalidValueError(
            f"A pruning ratio is a number between 0 and 1, but got {shown(ratio)}{where}."
        )
    return float(ratio)  # type: ignore[arg-type]


def _removed(ratio: float, width: int) -> int:
    return min(int(np.floor(ratio * width + 0.5)), width - 1)


def _group_counts(
    graph: ChannelGraph, groups: list[Group], ratio: float | Mapping[str, float]
) -> list[int]:
    if not isinstance(ratio, Mapping):
        value = _checked(ratio)
        return [_removed(value, g.width) for g in groups]
    for name in ratio:
        group = graph.group(name)
        if not group.prunable and _checked(ratio[name], name) > 0:
            raise PlanError(f"Group '{name}' cannot be pruned: it {clause(group.reason)}.")
    return [_removed(_checked(ratio.get(g.name, 0.0), g.name), g.width) for g in groups]


def _global_counts(
    graph: ChannelGraph, groups: list[Group], scores: npt.NDArray[np.float64], ratio: float
) -> list[int]:
    """How many of the lowest units over all groups fall into each group."""
    total = sum(g.width for g in groups)
    wanted = min(int(np.floor(ratio * total + 0.5)), total - len(groups))
    candidates = []
    for group in groups:
        own = group.start + np.argsort(
            scores[group.start : group.start + group.width], kind="stable"
        )
        candidates.append(own[: group.width - 1])  # the best unit of every group stays
    if not candidates or wanted <= 0:
        return [0] * len(groups)
    pool = np.concatenate(candidates)
    lowest = pool[np.argsort(scores[pool], kind="stable")][:wanted]
    per_group = np.bincount(graph.group_index[lowest], minlength=len(graph.groups))
    index = {g.name: i for i, g in enumerate(graph.groups)}
    return [int(per_group[index[g.name]]) for g in groups]

"""From decisions to the plan: thresholds by score, then picks by hand, then rounded widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.errors import PlanError
from pruneviz.plan import Plan
from pruneviz.threshold import threshold

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph, Group
    from pruneviz.criteria import Ranking
    from pruneviz.session.decisions import Decisions

Mask = npt.NDArray[np.bool_]


def plan_of(graph: ChannelGraph, ranking: Ranking | None, d: Decisions) -> Plan:
    """Return the plan that follows from the decisions.

    `ranking` may be None while no slider has been moved. Raises `PlanError` for picks that do not
    belong to the network or that would empty a group.
    """
    gone = np.zeros(graph.num_units, dtype=bool)
    own = {name: ratio for name, ratio in d.ratios if name not in d.protected}
    groups = {group.name: group for group in graph.prunable_groups}
    free = [name for name in groups if name not in own and name not in d.protected]
    if d.ratio > 0 and free and ranking is not None:
        if d.scope == "global":
            others = set(groups) - set(free)
            gone |= ~threshold(
                graph, ranking, d.criterion, d.ratio, scope="global", protected=others
            ).kept
        else:
            own = {**own, **dict.fromkeys(free, d.ratio)}
    if own and ranking is not None:
        gone |= ~threshold(graph, ranking, d.criterion, own, scope="group").kept
    foreign = [u for u in d.by_hand if not 0 <= u < graph.num_units]
    if foreign:
        raise PlanError(
            f"The network has {graph.num_units} units, so there is no unit {min(foreign)}; the "
            "picks belong to another network."
        )
    gone[sorted(d.dropped)] = True
    gone[sorted(d.kept)] = False
    scores = None if ranking is None else ranking.of(d.criterion)
    for group in groups.values():
        _round(gone, group, scores, d)
    return Plan(graph).drop_units(np.flatnonzero(gone).tolist())


def _round(gone: Mask, group: Group, scores: npt.NDArray[np.float64] | None, d: Decisions) -> None:
    """Bring back the best dropped units until the width is a multiple and not zero."""
    units = np.arange(group.start, group.start + group.width)
    dropped = units[gone[units]]
    left = group.width - len(dropped)
    wanted = max(1, -(-left // d.multiple) * d.multiple)
    if wanted <= left or not len(dropped):
        return
    back = [u for u in dropped if int(u) not in d.dropped]
    if scores is not None:
        back.sort(key=lambda u: -float(np.nan_to_num(scores[u], nan=np.inf)))
    gone[back[: wanted - left]] = False

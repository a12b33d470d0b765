"""Finding one's way among many groups: search, a stage, only what was changed, an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pruneviz.arguments import one_of
from pruneviz.channels import ChannelGraph, Group
from pruneviz.stages import blocks, group_titles

ORDERS: Mapping[str, str] = {
    "network": "as in the network",
    "macs": "most MACs first",
    "pruned": "most pruned first",
    "name": "by name",
}
"""In which order groups can be listed."""


@dataclass(frozen=True)
class Wanted:
    """Which groups to list, and how."""

    search: str = ""
    """What must stand in the group's title or in the name of one of its layers."""
    stage: int | None = None
    """Only groups whose first layer is in this stage."""
    changed: bool = False
    """Only groups that lose units."""
    order: str = "network"


def arrange(
    graph: ChannelGraph, wanted: Wanted, ratios: Mapping[str, float], macs: Mapping[str, float]
) -> tuple[int, ...]:
    """Return the places, among the prunable groups, of those that are wanted, in order.

    Args:
        graph: The network's channels.
        wanted: Which groups, and how.
        ratios: Group name -> fraction of its units that go.
        macs: Layer name -> its MACs under the plan.

    Raises:
        UnknownNameError: There is no such order.
    """
    one_of("order", wanted.order, ORDERS)
    stages, titles = stage_of(graph), group_titles(graph)
    part = wanted.search.casefold().strip()

    def fits(group: Group) -> bool:
        return (
            any(part in text.casefold() for text in (titles[group.name], *group.layers))
            and wanted.stage in (None, stages[group.layers[0]])
            and not (wanted.changed and ratios.get(group.name, 0) == 0)
        )

    groups = graph.prunable_groups
    indices = [i for i, group in enumerate(groups) if fits(group)]
    if wanted.order == "macs":
        indices.sort(key=lambda i: -sum(macs.get(name, 0) for name in groups[i].layers))
    elif wanted.order == "pruned":
        indices.sort(key=lambda i: -ratios.get(groups[i].name, 0))
    elif wanted.order == "name":
        indices.sort(key=lambda i: titles[groups[i].name])
    return tuple(indices)


def stage_of(graph: ChannelGraph) -> dict[str, int]:
    """Return the stage of each layer, by name; 0 before the first."""
    return {name: block.stage for block in blocks(graph) for name in block.layers}

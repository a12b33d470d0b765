"""A plan's units as text and back: JSON for files, and a short code for links."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from pruneviz import links, stored
from pruneviz.channels import ChannelGraph, Group
from pruneviz.errors import PlanError, shown

FORMAT = "pruneviz-plan/1"
LINK = "p1."
"""How a plan in a link begins: the version of its code."""
DIGITS = 8
"""Hexadecimal digits of the network's and of the plan's digest that a link carries."""

ByGroup = Mapping[str, tuple[int, ...]]
"""Group name -> indices, within the group, of the units that are pruned."""


def to_json(graph: ChannelGraph, by_group: ByGroup) -> str:
    """Write the units pruned in each group."""
    dropped = {name: list(units) for name, units in by_group.items()}
    return json.dumps({"format": FORMAT, "network": graph.digest, "dropped": dropped}, indent=1)


def from_json(graph: ChannelGraph, text: str | bytes) -> list[int]:
    """Read the units, by their global indices. Raises `PlanError` for any other text."""
    document = stored.read(text, "A plan", FORMAT, dict, PlanError)
    if document.get("network") != graph.digest:
        raise PlanError(
            "This plan was made for another network (its structure is "
            f"{shown(document.get('network'))}, this one's is {graph.digest}). Load the network "
            "that it was made for."
        )
    dropped = document.get("dropped")
    if not isinstance(dropped, dict):
        raise PlanError('A plan\'s "dropped" maps group names to lists of unit indices.')
    return [unit for name, own in dropped.items() for unit in _units(graph.group(name), own)]


def _units(group: Group, indices: object) -> list[int]:
    if not isinstance(indices, list):
        raise PlanError(
            f"Group '{group.name}' needs a list of unit indices, but got {shown(indices)}."
        )
    for index in indices:
        if type(index) is not int or not 0 <= index < group.width:
            raise PlanError(
                f"Group '{group.name}' has {group.width} units, numbered from 0; there is no unit "
                f"{shown(index)}."
            )
    return [group.start + index for index in indices]


def to_link(graph: ChannelGraph, by_group: ByGroup, digest: str) -> str:
    """Write the units, with digests that show whether they are read whole and for their network."""
    groups = _groups(graph)
    units = links.encode([g.width for g in groups], [by_group.get(g.name, ()) for g in groups])
    return LINK + links.to_text(bytes.fromhex(graph.digest[:DIGITS] + digest[:DIGITS]) + units)


def from_link(graph: ChannelGraph, text: str) -> tuple[list[int], str]:
    """Read the units, by their global indices, and the first digits of their plan's digest.

    Raises:
        PlanError: The text is no plan, is damaged, or was made for another network.
    """
    code = parse_qs(urlsplit(text).query).get("plan", [text.strip()])[0]
    if not code.startswith(LINK):
        raise PlanError(
            f"A plan in a link begins with '{LINK}', but got '{code[:20]}'. Copy the whole link "
            "again."
        )
    groups = _groups(graph)
    try:
        content = links.from_text(code.removeprefix(LINK))
        network, digest = content[: DIGITS // 2].hex(), content[DIGITS // 2 : DIGITS].hex()
        if network != graph.digest[:DIGITS]:
            raise PlanError(
                f"This link's plan was made for another network (its structure begins with "
                f"{network}, this one's with {graph.digest[:DIGITS]}). Load the network that it "
                "was made for."
            )
        chosen = links.decode([g.width for g in groups], content[DIGITS:])
    except PlanError:
        raise
    except ValueError as error:
        raise PlanError(damaged(str(error))) from None
    pairs = zip(groups, chosen, strict=True)
    return [group.start + index for group, own in pairs for index in own], digest


def damaged(why: str) -> str:
    """The message for a link whose plan cannot be read whole."""
    return f"The plan in this link is damaged or was cut short ({why}). Copy the whole link again."


def _groups(graph: ChannelGraph) -> list[Group]:
    return sorted(graph.prunable_groups, key=lambda group: group.name)

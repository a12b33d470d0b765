"""What a visitor does to the plan: refused with a sentence where it would break the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.session.decisions import drop_by_hand, keep_by_hand
from pruneviz.ui.frame import state
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pruneviz.channels import ChannelGraph
    from pruneviz.session.decisions import Change, Decisions
    from pruneviz.session.workbench import Workbench

REFUSAL = "refusal"


def take(change: Change, *, slider: str | None = None) -> bool:
    """Take a step if its plan is one that works; say why it is not otherwise.

    `slider` names the slider that was moved, if one was: see `Session.take`.
    """
    try:
        state.session().take(change, slider=slider)
    except PruneVizError as error:
        st.session_state[REFUSAL] = str(error)
        return False
    return True


def attempt(work: Callable[..., object], *args: object) -> bool:
    """Do what may be refused, such as starting a run; keep why it was, and tell if it was done."""
    try:
        work(*args)
    except PruneVizError as error:
        st.session_state[REFUSAL] = str(error)
        return False
    return True


def show_refusal() -> None:
    """Say once why the last step was not taken."""
    refusal = st.session_state.pop(REFUSAL, None)
    if refusal:
        st.toast(plain(refusal), icon=":material/block:", duration="long")


def toggle(
    graph: ChannelGraph, d: Decisions, gone: Iterable[int], layer: str, filters: list[int]
) -> Change:
    """Drop the chosen filters by hand; if all of them are dropped already, keep them."""
    units = frozenset(graph.unit_of(layer, f) for f in filters)
    if units <= frozenset(gone):
        return keep_by_hand(d, units, f"kept {name(layer, filters)}")
    return drop_by_hand(d, units, f"pruned {name(layer, filters)}")


def name(layer: str, filters: list[int]) -> str:
    """Name filters of a layer: `filter 3 of conv1`, `4 filters of conv1`."""
    if len(filters) == 1:
        return f"filter {filters[0]} of {layer}"
    return f"{len(filters)} filters of {layer}"


def tied_to(of: Workbench, layer: str) -> tuple[str, ...]:
    """Return the other layers that lose filters together with this one's."""
    record = of.graph.layer(layer)
    names = [n for g in record.groups for n in of.graph.group(g).layers if n != layer]
    return tuple(dict.fromkeys(names))

"""Which of many runs the page Runs shows: a filter, and page after page of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.jobs.listing import Which
from pruneviz.jobs.registry import own_kinds
from pruneviz.session.fine_tuned import NETWORKS
from pruneviz.ui.frame import services, state
from pruneviz.ui.serving.sharing import current

if TYPE_CHECKING:
    from pruneviz.jobs import RunView

PAGE = 20
"""Cards on one page; each is drawn anew every second while a run is active."""
LOOKED_AT = 200
"""How many runs of other kinds are looked through for damaged records, which are shown, too."""
ANY = "any"
STATES = ("queued", "running", "cancelling", "done", "failed", "interrupted", "cancelled")
FIRST = "runs_first"


@dataclass(frozen=True)
class Shown:
    """The runs of one page, and how many there are."""

    runs: tuple[RunView, ...]
    first: int
    """How many newer ones the filter lets through."""
    total: int
    """Of those that the filter lets through."""
    everything: int
    """Of all that could be shown."""


def look() -> Shown:
    """Return the runs to show now."""
    others = tuple(sorted(set(own_kinds()) - set(NETWORKS)))
    every = Which(other_kinds=others)  # one whose kind cannot be read is not of another kind
    which, jobs = _asked(every), services.jobs()
    total, everything = jobs.count(which), jobs.count(every)
    first = _first(total)
    runs = jobs.list(which, limit=PAGE, offset=first)
    if which == every and not first:
        rest = jobs.list(Which(kinds=others), limit=LOOKED_AT)
        runs += tuple(run for run in rest if run.damage is not None)
    return Shown(runs, first, total, everything)


def show(shown: Shown) -> None:
    """Draw the filter and the pager, once there are more runs than one page has."""
    if shown.everything <= PAGE:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        first, last = shown.first, shown.first + len(shown.runs)
        many = f"of {shown.total:,}"
        if shown.total != shown.everything:
            many += f" that match, {shown.everything:,} in all"
        here = f"Runs {first + 1:,} to {last:,} {many}" if shown.runs else "No run matches"
        st.caption(here, width="stretch")
        for label, icon, to in (
            ("Newer", "chevron_left", first - PAGE),
            ("Older", "chevron_right", first + PAGE),
        ):
            st.button(
                label,
                key=f"runs_{label}",
                icon=f":material/{icon}:",
                disabled=not 0 <= to < max(1, shown.total),
                on_click=_go,
                args=(to,),
            )
        with st.popover("Filter", icon=":material/filter_list:"):
            _filter()


def _filter() -> None:
    choices = services.jobs().choices()
    fields = [
        ("network", "Network", choices.networks),
        ("data", "Data", choices.data),
        ("strategy", "Strategy", choices.strategies),
        ("status", "State", STATES),
    ]
    if current().shared:
        fields.append(("owner", "Started by", ("you",)))
    for name, label, values in fields:
        st.selectbox(label, (ANY, *values), key=f"runs_by_{name}", on_change=_go, args=(0,))


def _asked(every: Which) -> Which:
    given = {
        name: value
        for name in ("network", "data", "strategy", "status", "owner")
        if (value := st.session_state.get(f"runs_by_{name}", ANY)) != ANY
    }
    if "owner" in given:
        given["owner"] = state.session().visitor
    return replace(every, **given)


def _first(total: int) -> int:
    first = int(st.session_state.get(FIRST, 0))
    return min(first, max(0, (total - 1) // PAGE * PAGE))


def _go(to: int) -> None:
    st.session_state[FIRST] = max(0, to)

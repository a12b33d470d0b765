"""Which of many runs the page Runs shows: a filter, and page after page of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.jobs.listing import Which
from pruneviz.jobs.registry import own_kinds
from pruneviz.session.fine_tuned import NETWORKS
from pruneviz.strategies.registry import title_of
from pruneviz.ui.frame import services, state
from pruneviz.ui.serving.sharing import current

if TYPE_CHECKING:
    from pruneviz.jobs import RunView

PAGE = 20
"""Cards on one page; each is drawn anew every second while a run is active."""
LOOKED_AT = 200
"""How many runs of other kinds are looked through for damaged records, which are shown, too; and
how many of a study, at most, are counted."""
ANY = "any"
STATES = ("queued", "running", "cancelling", "done", "failed", "interrupted", "cancelled")
FIRST = "runs_first"


@dataclass(frozen=True)
class Row:
    """A run, or the runs of a study, newest first."""

    runs: tuple[RunView, ...]
    study: str | None = None


@dataclass(frozen=True)
class Shown:
    """The rows of one page, and how many there are."""

    rows: tuple[Row, ...]
    first: int
    """How many newer ones the filter lets through."""
    total: int
    """Of those that the filter lets through."""
    everything: int
    """Of all that could be shown."""
    filtered: bool = False


def look() -> Shown:
    """Return the rows to show now: one for each study, unless one tag is asked for."""
    others = tuple(sorted(set(own_kinds()) - set(NETWORKS)))
    # Not by its own kinds: a run whose kind cannot be read is shown, too.
    every, jobs = Which(other_kinds=others, one_a_study=True), services.jobs()
    which = _asked(every)
    total = everything = jobs.count(which)
    if which != every:
        everything = jobs.count(replace(every, one_a_study=which.one_a_study))
    first = _first(total)
    rows = [_row(run, which) for run in jobs.list(which, limit=PAGE, offset=first)]
    if which == every and not first:
        rest = jobs.list(Which(kinds=others), limit=LOOKED_AT)
        rows += [Row((run,)) for run in rest if run.damage is not None]
    return Shown(tuple(rows), first, total, everything, which != every)


def _row(run: RunView, which: Which) -> Row:
    """The row that a run stands for."""
    if run.parent is None or not which.one_a_study:
        return Row((run,))
    together = replace(which, one_a_study=False, parent=run.parent)
    runs = services.jobs().list(together, limit=LOOKED_AT)
    return Row(runs or (run,), run.parent)  # deleted a moment ago


def show(shown: Shown) -> None:
    """Draw the filter and the pager, once there are more rows than one page has."""
    if shown.everything <= PAGE and not shown.filtered:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        first, last = shown.first, shown.first + len(shown.rows)
        what = "Runs and studies" if any(row.study for row in shown.rows) else "Runs"
        many = f"of {shown.total:,}"
        if shown.total != shown.everything:
            many += f" that match, {shown.everything:,} in all"
        here = f"{what} {first + 1:,} to {last:,} {many}" if shown.rows else "No run matches"
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
        ("tag", "Tag or study", choices.tags),
    ]
    if current().shared:
        fields.append(("owner", "Started by", ("you",)))
    for name, label, values in fields:
        st.selectbox(
            label,
            (ANY, *values),
            format_func=title_of if name == "strategy" else str,
            key=f"runs_by_{name}",
            on_change=_go,
            args=(0,),
        )


def _asked(every: Which) -> Which:
    given = {
        name: value
        for name in ("network", "data", "strategy", "status", "tag", "owner")
        if (value := st.session_state.get(f"runs_by_{name}", ANY)) != ANY
    }
    if "owner" in given:
        given["owner"] = state.session().visitor
    return replace(every, **given, one_a_study="tag" not in given)


def only_tagged(tag: str) -> None:
    """Show the runs with this tag, each in a row of its own."""
    st.session_state["runs_by_tag"] = tag
    _go(0)


def _first(total: int) -> int:
    first = int(st.session_state.get(FIRST, 0))
    return min(first, max(0, (total - 1) // PAGE * PAGE))


def _go(to: int) -> None:
    st.session_state[FIRST] = max(0, to)

"""Rows of the page Runs: a run has a card, the runs of a study lie together behind one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.figures import style
from pruneviz.ui.frame import services
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import cards, choosing

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.ui.runs.choosing import Row


def show(loaded: Workbench, row: Row) -> tuple[RunView, ...]:
    """Draw a row; return its runs that are in sight, and so may be drawn in the charts."""
    if row.study is None:
        (run,) = row.runs
        cards.show(loaded, run)
        return row.runs
    lines = st.expander(
        title(row),
        icon=":material/account_tree:",
        key=f"study_{row.study}",
        on_change="rerun",  # cards are drawn for those who look
    )
    if not lines.open:
        return ()
    seen = row.runs[: choosing.PAGE]
    with lines:
        if len(row.runs) > len(seen):
            st.button(
                f"Show all {len(row.runs)}, page by page",
                key=f"all_{row.study}",
                icon=":material/list:",
                on_click=choosing.only_tagged,
                args=(row.runs[0].tag,),
                disabled=not row.runs[0].tag,
            )
        for run in seen:
            cards.show(loaded, run, tagged=run.tag != row.runs[0].tag)
    return seen


def title(row: Row) -> str:
    """What a study is called, and how its runs stand."""
    newest = row.runs[0]
    by_status = dict.fromkeys(choosing.STATES, 0)
    for run in row.runs:
        by_status[run.status] += 1
    stands = " ".join(
        cards.badge(status, f"{count} {status}") for status, count in by_status.items() if count
    )
    whose = services.whose(newest)
    parts = [f"**{plain(newest.tag or newest.name)}**", style.counted(len(row.runs), "run"), whose]
    return f"{' · '.join(part for part in parts if part)} {stands}"

"""One button to the best plan for a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import actions, services, state
from pruneviz.ui.frame.loading import loading
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from pruneviz.sensitivity_result import Sensitivity

TARGET, ASKED = "budget_macs", "budget_asked"
USUAL = 50


def show() -> None:
    """Show the budget and its button; what the button asked for is looked for before the rest."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "MACs to keep, %",
            min_value=1,
            max_value=100,
            value=USUAL,
            key=TARGET,
            width=150,
        )
        st.button(
            "Best plan for this budget",
            icon=":material/auto_awesome:",
            key="budget_go",
            on_click=_ask,
            help=(
                "Measures how sensitive each group is after repair, prunes where saving MACs "
                "costs the least accuracy, and compares the result with a uniform ratio and a "
                "global threshold. No training; one Undo takes it back."
            ),
        )


def look_for(loaded: Workbench) -> None:
    """Look for the plan that was asked for, and take it as one step."""
    if st.session_state.get(ASKED) != _place():  # not asked for, or on a plan that has changed
        st.session_state.pop(ASKED, None)
        return
    from pruneviz.session.best_plan import best_plan

    target = st.session_state[TARGET] / 100
    decisions = state.history().decisions
    with loading("Searching for the best plan …") as place:

        def progress(share: float, what: str) -> None:
            place.progress(min(1.0, share), plain(what))

        try:
            change, _ = best_plan(
                loaded,
                decisions,
                target,
                scan=_scan(loaded, decisions.criterion),
                progress=progress,
            )
        except PruneVizError as error:
            del st.session_state[ASKED]
            st.session_state[actions.REFUSAL] = str(error)
            st.rerun()
    del st.session_state[ASKED]
    actions.take(change)
    st.rerun()


def _ask() -> None:
    st.session_state[ASKED] = _place()


def _place() -> tuple[int, str]:
    """Where the search was asked for: whoever moves a slider or leaves the page lets it go.

    What only looks at another view interrupts it, too, as each click draws the page anew; then it
    begins again.
    """
    return st.session_state.get(state.VISIT, 0), state.history().current


def _scan(loaded: Workbench, criterion: str) -> Sensitivity | None:
    """Return the newest finished repaired scan by the criterion, None where there is none."""
    for run in services.jobs().list(runs_data.of_subject(loaded, runs_data.SENSITIVITY)):
        options = run.spec.options
        if (
            run.status == "done"
            and options.get("criterion") == criterion
            and options.get("after") == "repaired"
            and runs_data.about(loaded, run)
        ):
            return runs_data.scan_of(run)
    return None

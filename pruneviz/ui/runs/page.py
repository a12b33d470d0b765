"""The page Runs: fine-tune the plan in the background, watch it, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pruneviz.jobs.listing import Which
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import actions, error_boundary, services, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import charts, choosing, grouping, live, start

if TYPE_CHECKING:
    from pruneviz.jobs import RunView

POLL_SECONDS = 1.0
IDLE_SECONDS = 3.0


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    left, right = st.columns([1, 2], gap="large")
    with left:
        error_boundary.guarded(start.show)(loaded)
    with right:
        active = _any_active()
        error_boundary.fragment(run_every=POLL_SECONDS if active else None)(_live)(loaded, active)
        if not active:
            error_boundary.fragment(run_every=IDLE_SECONDS)(_look_out)()


def _any_active() -> bool:
    return services.jobs().count(Which(active=True)) > 0


def _look_out() -> None:
    """While nothing runs: notice what another visitor, or a command, has started."""
    if _any_active():
        st.rerun()


def _live(loaded: Workbench, was_active: bool) -> None:
    """The runs and their pictures; redrawn every second while one is active."""
    _trouble()
    shown = choosing.look()
    active = _any_active()
    if was_active and not active:
        st.rerun()
    choosing.show(shown)
    if not shown.everything and not shown.rows:
        st.info(
            "No runs yet. Pruning costs accuracy; fine-tuning recovers it. Start one on the left.",
            icon=":material/model_training:",
        )
        return
    if not shown.rows:
        return
    pictures = st.container()  # above the cards, which say what there is to draw
    runs = [run for row in shown.rows for run in grouping.show(loaded, row)]
    if runs:
        with pictures:
            live.show(loaded, runs)
            _pictures(loaded, runs, f"{shown.first}_{shown.total}")


def _pictures(loaded: Workbench, runs: list[RunView], place: str) -> None:
    chosen = _compared(runs, place)
    accuracy, loss, picture, figures = st.tabs(["Accuracy", "Loss", "Accuracy and MACs", "Table"])
    with accuracy:
        charts.training(chosen, "accuracy")
    with loss:
        charts.training(chosen, "loss")
    with picture:
        charts.tradeoff(loaded, runs, chosen)
    with figures:
        _table(chosen)


def _trouble() -> None:
    """Say why runs wait, and offer what helps."""
    service = services.jobs()
    trouble = service.trouble()
    if trouble is None:
        return
    st.warning(
        f"{plain(trouble)} Until then, runs wait; they resume on their own.",
        icon=":material/hourglass:",
    )
    if service.rescuable and st.button("Save the state in memory", icon=":material/save:"):
        service.rescue()
        st.rerun()


def _compared(runs: list[RunView], place: str) -> list[RunView]:
    """The runs that are drawn: those that were picked here, or the newest on the same data."""
    names = {run.id: run.name for run in runs}
    begun = sum(run.status != "queued" for run in runs)
    picked = st.multiselect(
        "Runs shown",
        list(names),
        default=charts.first_shown(runs),
        format_func=names.__getitem__,
        key=f"compared_{place}_{begun}",
    )
    return [run for run in runs if run.id in picked]


def _table(runs: list[RunView]) -> None:
    """The runs side by side; Streamlit's own tables sort, search and download."""
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        table(runs),
        hide_index=True,
        column_config={
            "MACs": st.column_config.NumberColumn(format="compact"),
            "parameters": st.column_config.NumberColumn(format="compact"),
            "MACs left": share,
            "accuracy before": share,
            "accuracy after": share,
            "time": st.column_config.NumberColumn(format="%.0f s"),
        },
    )


def table(runs: list[RunView]) -> pd.DataFrame:
    """Return the runs as a table, for comparison and download."""
    rows = []
    for run in runs:
        results = services.jobs().results(run.id)
        cost = results.get("cost") or {}
        rows.append(
            {
                "run": run.name,
                "status": run.status,
                "MACs": cost.get("macs"),
                "MACs left": cost["macs"] / cost["baseline_macs"] if cost else None,
                "parameters": cost.get("params"),
                "accuracy before": (results.get("before") or {}).get("accuracy"),
                "accuracy after": (results.get("after") or {}).get("accuracy"),
                "epochs": run.spec.options.get("epochs"),
                "seed": run.spec.options.get("seed", 0),
                "time": run.seconds,
            }
        )
    return pd.DataFrame(rows)

"""The page Sensitivity: accuracy against ratio for each group, growing while it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pruneviz.figures import curves_figure, sensitivity_heat_figure
from pruneviz.figures.style import counted
from pruneviz.session.decisions import set_group_ratios
from pruneviz.session.workbench import Workbench
from pruneviz.stages import group_titles
from pruneviz.ui.frame import actions, error_boundary, leaving, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.rank import page as rank
from pruneviz.ui.ribbon import ribbon
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.duration import said

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.sensitivity_result import Sensitivity

POLL_SECONDS = 0.7
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
STANDARD = (0.1, 0.3, 0.5, 0.7, 0.9)
MEASURED = {
    "repaired": "Repaired",
    "remeasured": "Batch norm recalibrated",
    "cut": "No repair",
}
TOLD = {
    "macs": "MACs left",
    "macs_saved": "MACs saved",
    "removed": "units pruned",
    "width": "units",
    "drop": "accuracy lost",
    "allowed": "ratio allowed",
}
"""What the columns of a scan are called on the page."""
SPLITS = {"train": "training", "val": "validation"}


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    st.caption(
        "Each group is pruned on its own, lowest scores first, and accuracy is measured "
        "without training. If a curve stays high, you can prune much of that group."
    )
    ribbon.show(loaded)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        criterion = rank.pick_criterion(loaded, width=300)
        after = (
            st.segmented_control(
                "Measured",
                list(MEASURED),
                default="repaired",
                required=True,
                key="scan_after",
                format_func=MEASURED.__getitem__,
                help=(
                    "Repaired: the remaining weights are refitted to make up for the pruned "
                    "units, without training. Batch norm recalibrated: only batch norm "
                    "statistics are measured again. No repair: accuracy right after pruning, "
                    "as in Li et al. 2016."
                ),
            )
            or "repaired"
        )
        run = latest(loaded, criterion, after)
        _controls(loaded, criterion, after, run)
    if run is None:
        st.info(
            f"No scan by **{plain(criterion)}** with '{MEASURED[after]}' yet. Start one; the "
            "curves grow as it runs.",
            icon=":material/show_chart:",
        )
        return
    error_boundary.fragment(run_every=POLL_SECONDS if run.active else None)(_scan)(
        loaded, run.id, run.active
    )


def latest(loaded: Workbench, criterion: str, after: str) -> RunView | None:
    """Return the newest such scan of the subject; a failed one only if it is alone."""
    runs = [
        run
        for run in services.jobs().list(runs_data.of_subject(loaded, runs_data.SENSITIVITY))
        if runs_data.about(loaded, run)
        and run.spec.options.get("criterion") == criterion
        and run.spec.options.get("after", "cut") == after
    ]
    return next((run for run in runs if run.status != "failed"), runs[0] if runs else None)


def _controls(loaded: Workbench, criterion: str, after: str, run: RunView | None) -> None:
    total = len(loaded.data.val)
    ratios = st.multiselect(
        "Ratios",
        RATIOS,
        default=STANDARD,
        format_func=lambda r: f"{r:.0%}",
        help="Fractions of a group's units to prune.",
        width=400,
    )
    steps = sorted({min(total, n) for n in (100, 250, 500, 1000, 2000, total)})
    images = st.selectbox(
        "Images",
        steps,
        index=steps.index(min(steps, key=lambda n: abs(n - loaded.preview_images))),
        help="Validation images to measure on: more give narrower confidence bands.",
        width=110,
    )
    if run is not None and run.active and services.may_change(run):
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(run.id,))
        return
    st.button(
        "Scan again" if run is not None else "Scan",
        type="secondary" if run is not None else "primary",
        icon=":material/play_arrow:",
        disabled=(run is not None and run.active) or not ratios,
        on_click=_start,
        args=(loaded, criterion, after, tuple(ratios), images),
    )


def _start(
    loaded: Workbench, criterion: str, after: str, ratios: tuple[float, ...], images: int
) -> None:
    visitor = state.session().visitor
    spec = runs_data.scan_spec(loaded, criterion, ratios, images, visitor, after)
    actions.attempt(services.jobs().submit, spec)


def _stop(run_id: str) -> None:
    actions.attempt(services.jobs().cancel, run_id)


def _scan(loaded: Workbench, run_id: str, was_active: bool) -> None:
    """The scan as far as it has come."""
    run = services.jobs().get(run_id)
    if was_active and not run.active:
        st.rerun()
    if run.active:
        st.progress(min(1.0, run.progress), plain(run.message or run.status))
    if run.error:
        st.error(plain(run.error), icon=":material/error:")
    scan = runs_data.scan_of(run)
    if scan is None:
        return
    ranked = services.jobs().results(run.id).get("ranked") or {}
    look_at(
        loaded,
        scan,
        finished=not run.active,
        seconds=run.seconds,
        ranked=int(ranked.get("images") or 0),
    )


def look_at(
    loaded: Workbench, scan: Sensitivity, *, finished: bool, seconds: float, ranked: int = 0
) -> None:
    """Show a scan: curves, heat map, table, and the ratios that a tolerated drop allows.

    `ranked` is the number of training images on which the order of the filters was decided.
    """
    titles = group_titles(loaded.graph)
    state_of = "" if scan.final else (", stopped early" if finished else ", running")
    order = f"Ranked on {ranked:,} training images. " if ranked else ""
    st.caption(
        f"{order}{MEASURED[scan.after]}; {scan.images} of {scan.total} "
        f"{SPLITS.get(scan.split, scan.split)} images{state_of}; "
        f"{counted(len(scan.groups), 'prunable group')}; {said(seconds)}."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tolerance = st.slider(
            "Accuracy you can give up, in points",
            0.0,
            20.0,
            1.0,
            0.5,
            key="tolerance",
            format="%.1f",
            help=(
                "For each group, takes the largest measured ratio that loses no more than this. "
                "Groups pruned together lose more than each one alone."
            ),
            width=300,
        )
        allowed = scan.allowed(tolerance / 100)
        open_groups = sum(r > 0 for r in allowed.values())
        st.button(
            f"Use these ratios ({counted(open_groups, 'group')})",
            icon=":material/content_cut:",
            disabled=not open_groups,
            on_click=_take_ratios,
            args=(allowed, f"sensitivity: up to {tolerance:g} points each"),
        )
        marked = st.multiselect(
            "Highlight groups",
            scan.groups,
            key="highlight",
            format_func=lambda group: titles.get(group, group),
            help="Draws their curves thicker, with 95 % confidence bands (Wilson).",
            placeholder="none",
            width=340,
        )
    curves, heat, table = st.tabs(["Curves", "Heat map", "Table"])
    with curves:
        theme.chart(
            curves_figure(
                scan,
                tolerance=tolerance / 100,
                highlight=tuple(marked),
                titles=titles,
                dark=theme.dark(),
            ),
            "sensitivity_curves",
        )
    with heat:
        theme.chart(
            sensitivity_heat_figure(scan, titles=titles, dark=theme.dark()), "sensitivity_heat"
        )
    with table:
        frame = scan.to_frame()
        measured = (frame["reason"] == "") & (frame["images"] > 0)  # others are still to come
        frame = frame[measured].drop(columns=["reason"])
        frame["allowed"] = [allowed.get(g, 0.0) for g in frame["group"]]
        frame["group"] = [titles.get(g, g) for g in frame["group"]]
        st.dataframe(
            frame,
            hide_index=True,
            column_config={
                **{
                    name: st.column_config.NumberColumn(TOLD.get(name), format="percent")
                    for name in ("ratio", "accuracy", "drop", "macs_saved", "allowed")
                },
                **{
                    name: st.column_config.NumberColumn(told, format="localized")
                    for name, told in TOLD.items()
                    if name in ("macs", "removed", "width")
                },
            },
        )
    if scan.closed:
        closed = counted(len(scan.closed), "group")
        with st.expander(f"{closed} that cannot be pruned, and why"):
            st.dataframe(
                pd.DataFrame(
                    [(titles.get(group, group), why) for group, why in scan.closed],
                    columns=["group", "why"],
                ),
                hide_index=True,
            )


def _take_ratios(allowed: dict[str, float], label: str) -> None:
    decisions = state.history().decisions
    actions.take(set_group_ratios(decisions, allowed, label))
    leaving.go_to("prune")

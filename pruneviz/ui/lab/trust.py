"""The trust meter on the page Lab: how far the accuracy beside the sliders can be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.trust import runs_figure, trust_figure
from pruneviz.jobs.listing import Which
from pruneviz.studies.trust.result import Trust, stored_trust
from pruneviz.ui.frame import services, theme
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from pruneviz.jobs import RunView

NAMES = {
    "macs": "MACs left",
    "cut": "accuracy before repair",
    "remeasured": "accuracy, batch norm recalibrated",
    "repaired": "accuracy, repaired",
}

COMMAND = "pruneviz trust --model resnet20 --data digits --out trust.json"


def show() -> None:
    """Show the stored studies, and the visitor's own finished runs."""
    st.caption(
        "The accuracy beside the sliders is that of the repaired network, without training. Does "
        "it rank plans as fine-tuning would? Spearman's rank correlation measures that: 1 is the "
        "same order, 0 no relation. Since fewer MACs always cost accuracy, look at the second "
        "column: it compares plans with the same MACs (within 3 %)."
    )
    studies = stored_trust()
    if not studies:
        st.caption("Measure it on your own network and data:")
        st.code(COMMAND, language="sh", wrap_lines=True)
    else:
        tabs = st.tabs([f"{trust.network}, {trust.data}" for trust in studies])
        for tab, trust in zip(tabs, studies, strict=True):
            with tab:
                _study(trust)
    _own_runs()


def _study(trust: Trust) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        theme.chart(
            trust_figure(trust, dark=theme.dark()),
            f"trust_{trust.network}_{trust.data}",
        )
    with right:
        frame = trust.to_frame()
        frame["predictor"] = [NAMES[name] for name in frame["predictor"]]
        number = st.column_config.NumberColumn(format="%.2f")
        st.dataframe(
            frame,
            hide_index=True,
            column_config={"all plans": number, "same MACs": number},
        )
        _rejected(trust)
        st.caption(
            f"{len(trust.points)} plans; predicted on {trust.images} images, judged on "
            f"{trust.reached_images} others; commit {trust.commit}."
        )
        st.code(trust.command, language="sh", wrap_lines=True)


def _rejected(trust: Trust) -> None:
    """The plan that a person would have rejected by the raw figure."""
    worst = trust.rejected("cut")
    if worst is None:
        return
    point = worst.point
    st.markdown(
        f"**Wrongly rejected.** Of {worst.of} plans with {style.percent(point.budget, 0)} of the "
        f"MACs, one ({point.origin}) ranks no. {worst.predicted_rank} before repair, with "
        f"{style.percent(point.cut)}. Repaired, it has {style.percent(point.repaired)}; "
        f"fine-tuned, it ranks no. {worst.reached_rank}, with {style.percent(point.reached)}."
    )


def _own_runs() -> None:
    trained = services.jobs().list(Which(kinds=("fine_tune",), status="done"))
    points = [point for run in trained if (point := _point(run)) is not None]
    st.markdown("**Your runs**")
    if not points:
        st.caption(
            "Every finished run that started from a repaired network adds a point here. None has "
            "finished yet."
        )
        return
    theme.chart(
        runs_figure(points, dark=theme.dark()),
        "trust_runs",
    )


def _point(run: RunView) -> tuple[str, float, float] | None:
    """A finished run that began repaired: its name, where it began, what it reached."""
    if run.status != "done" or not run.spec.options.get("repair"):
        return None
    results = services.jobs().results(run.id)
    before, after = results.get("before"), results.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return None
    return plain(run.name), float(before["accuracy"]), float(after["accuracy"])

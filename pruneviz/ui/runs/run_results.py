"""What a strategy's run found besides its network: a front to choose from, a study's curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.figures import TradeoffPoint, style, tradeoff_figure, tradeoff_info
from pruneviz.session.decisions import exactly
from pruneviz.ui.frame import actions, state, theme, workbench
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.strategies import FrontPoint
    from pruneviz.studies.pretraining import PretrainingStudy


def show(loaded: Workbench, run: RunView, results: dict[str, Any]) -> None:
    """Show the front or the curves, if the run has any; they grow while it works."""
    if results.get("front") and runs_data.about(loaded, run):
        _front(loaded, run, front_of(results))
    if results.get("points"):
        _study(run, results)


def front_of(results: dict[str, Any]) -> tuple[FrontPoint, ...]:
    """The networks of the front, cheapest first."""
    from pruneviz.strategies import FrontPoint

    return tuple(
        FrontPoint({g: tuple(units) for g, units in p["dropped"].items()}, p["macs"], p["accuracy"])
        for p in results["front"]
    )


def points_of(front: tuple[FrontPoint, ...]) -> list[TradeoffPoint]:
    """The front as points of the accuracy/cost picture."""
    return [
        TradeoffPoint(
            key=f"front:{number}",
            label=f"network {number + 1} of {len(front)}",
            kind="plan",
            macs=float(point.macs),
            params=0.0,
            accuracy=point.accuracy,
        )
        for number, point in enumerate(front)
    ]


def _front(loaded: Workbench, run: RunView, front: tuple[FrontPoint, ...]) -> None:
    with st.expander(f"Pareto front: {len(front)} networks", icon=":material/ssid_chart:"):
        st.caption(
            "Accuracy before fine-tuning, on the images that the search used. Click a network "
            "to use its plan."
        )
        key, chosen = f"front_{run.id}", f"front_chosen_{run.id}"

        def select() -> None:
            points = state.selected(key)
            if points and points[0].get("customdata"):
                st.session_state[chosen] = int(points[0]["customdata"][0].partition(":")[2])

        info = tradeoff_info(points_of(front), chance=loaded.chance)
        figure = tradeoff_figure(info, dark=theme.dark(), height=320)
        theme.chart(figure, key, on_select=select, selection_mode="points")
        number = st.session_state.get(chosen)
        if number is None or number >= len(front):
            return
        point = front[number]
        share = point.macs / workbench.cost_of(loaded, point.plan(loaded.graph)).baseline_macs
        if st.button(
            f"Use network {number + 1}: {style.percent(point.accuracy)} at "
            f"{style.percent(share)} of the MACs",
            key=f"take_front_{run.id}",
            icon=":material/content_cut:",
        ):
            take(loaded, run, point, number)
            st.rerun()


def take(loaded: Workbench, run: RunView, point: FrontPoint, number: int) -> None:
    """Make a network of the front the plan in hand; fine-tuning it is a run like any other."""
    plan = point.plan(loaded.graph)
    label = f"network {number + 1} of the front of {run.name}"
    actions.take(exactly(state.history().decisions, frozenset(plan.dropped), label))


def study_of(run: RunView, results: dict[str, Any]) -> PretrainingStudy:
    """What a run of the pretraining study has measured so far."""
    from pruneviz.studies.pretraining import PretrainingStudy, StudyPoint
    from pruneviz.studies.queue import data_called

    points = [StudyPoint(**p) for p in results["points"]]
    return PretrainingStudy().add(
        str(run.spec.model["name"]),
        data_called(run.spec.data),
        int(run.spec.options.get("seed", 0)),
        points,
        (results.get("baseline") or {}).get("chance"),
    )


def _study(run: RunView, results: dict[str, Any]) -> None:
    from pruneviz.figures.pretraining import pretraining_figure, pretraining_info

    info = pretraining_info(study_of(run, results))
    with st.expander("Pretrained versus from scratch", icon=":material/ssid_chart:"):
        theme.chart(
            pretraining_figure(info, dark=theme.dark(), height=340),
            f"study_{run.id}",
        )

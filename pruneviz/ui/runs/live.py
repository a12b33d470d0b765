"""Above the charts: the network of the run that is under way, as it shrinks and learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import InvalidValueError
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import network
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.runs.course import course_of

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.strategies.details import BoolArray

WATCHED = "runs_watched"
"""The run whose end was seen: its network stays in place."""


def show(loaded: Workbench, runs: list[RunView]) -> None:
    """Draw the network of the first active run on the network in hand, or of the one just seen."""
    own = [run for run in runs if network.draws(loaded, run)]
    watched = st.session_state.get(WATCHED)
    run = next((run for run in own if run.active), None)
    run = run or next((run for run in own if run.id == watched), None)
    if run is None:
        return
    st.session_state[WATCHED] = run.id
    try:
        kept, step, done = _now(loaded, run)
    except InvalidValueError:
        return  # its card says that its steps cannot be read
    st.markdown(f"**{plain(run.name)}**, {done}")
    network.show(loaded.graph, run, kept, step, key=f"live_{run.id}")


def _now(loaded: Workbench, run: RunView) -> tuple[BoolArray, int, str]:
    """What is left, after which step or epoch, and that in words."""
    if run.kind == runs_data.FINE_TUNE:
        epoch = max(runs_data.movement(run), default=0)
        kept = runs_data.plan_of_run(loaded, run).kept
        return kept, epoch, f"after epoch {epoch}" if epoch else "before training"
    course = course_of(loaded, run)
    if course is None:
        return _whole(loaded.graph), 0, "before its first step"
    last = course.steps[-1]
    return last.kept, last.step, f"after step {last.step}"


def _whole(graph: ChannelGraph) -> BoolArray:
    from pruneviz.plan import Plan

    return Plan(graph).kept

"""A strategy's run step by step: live while it works, with a time slider afterwards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import InvalidValueError
from pruneviz.figures.course import Picture, picture_of
from pruneviz.figures.population import genes_figure, genes_info
from pruneviz.jobs.course import CourseReader, has_course
from pruneviz.stages import group_titles
from pruneviz.strategies.details import Population
from pruneviz.ui.frame import services, theme
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import network
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.runs.replay import replay

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.strategies.course import Course, CourseStep


def show(loaded: Workbench, run: RunView, *, above: bool = False) -> None:
    """Offer the run's steps, if it has kept any of the network in hand.

    `above`: the newest step's network is drawn above already.
    """
    if not has_course(services.jobs().files(run.id)) or not runs_data.about(loaded, run):
        return
    steps = st.expander(
        "Step by step",
        icon=":material/slow_motion_video:",
        key=f"steps_{run.id}",
        on_change="rerun",  # the picture is drawn for those who look
    )
    if steps.open:
        with steps:
            watch(loaded, run, above=above)


def watch(loaded: Workbench, run: RunView, *, above: bool = False) -> None:
    """Draw the run's course: its newest step while it goes on, any step afterwards."""
    try:
        course = course_of(loaded, run)
    except InvalidValueError as error:
        st.warning(plain(error), icon=":material/error:")
        return
    if course is None:
        st.caption("No step has been recorded yet.")
        return
    first, last = course.steps[0].step, course.steps[-1].step
    end = f"course_end_{run.id}"
    if run.active and st.toggle("Follow the run", value=True, key=f"follow_{run.id}"):
        st.session_state.pop(end, None)
        _step(run, course, last, ribbon=not above)
        return
    if run.active:  # the slider's end stays, so that it does not move under the hand
        last = int(st.session_state.setdefault(end, last))
    shown = partial(_step, run, course)
    replay(f"course_step_{run.id}_{last}", "Step", first, last, shown)


def _step(run: RunView, course: Course, step: int, *, ribbon: bool = True) -> None:
    shown = next(s for s in reversed(course.steps) if s.step <= step)
    st.markdown(f"**Step {shown.step}.** {plain(shown.message)}")
    if ribbon:
        network.show(course.graph, run, shown.kept, shown.step, key=run.id)
    picture = picture_of(course, step)
    if picture.parts and (layer := _layer(course, run, picture)) is not None:
        picture = picture_of(course, step, layer)
    theme.chart(picture.draw(dark=theme.dark()), f"course_{run.id}")
    st.caption(picture.told)
    if isinstance(shown.details, Population):
        _genes(course, run, shown)


def course_of(loaded: Workbench, run: RunView) -> Course | None:
    """The run's steps as far as they have come; None where none was kept."""
    return _reader(services.jobs().files(run.id), loaded.graph.digest, loaded.graph).read()


@st.cache_resource(max_entries=16, show_spinner=False)
def _reader(folder: Path, _digest: str, _graph: ChannelGraph) -> CourseReader:
    return CourseReader(folder, _graph)


def _layer(course: Course, run: RunView, picture: Picture) -> str | None:
    """The layer or group that was picked; None for the picture of all, where there is such."""
    titles, parts = group_titles(course.graph), picture.parts
    return st.selectbox(
        "Layer",
        parts,
        index=None if picture.part is None else parts.index(picture.part),
        placeholder="All layers" if len(parts) != 1 else parts[0],
        format_func=lambda name: titles.get(name, name),
        key=f"course_part_{run.id}",
    )


def _genes(course: Course, run: RunView, step: CourseStep) -> None:
    """The genes of a network of the generation as strips of filters, first of the chosen one."""
    generation = step.details
    if not isinstance(generation, Population) or generation.genes is None:
        return
    own = step.kept[course.graph.prunable]
    taken = next((i for i, genes in enumerate(generation.genes) if (genes == own).all()), 0)
    order = sorted(range(len(generation.macs)), key=lambda i: generation.macs[i])
    names = {
        i: f"{generation.accuracy[i]:.1%} with {generation.macs[i]:.1%} of the MACs" for i in order
    }
    chosen = st.selectbox(
        "Genes of one network",
        order,
        index=order.index(taken),
        format_func=names.__getitem__,
        key=f"course_genes_{run.id}",
    )
    kept = course.graph.prunable.copy()
    kept[course.graph.prunable] = generation.genes[chosen]
    info = genes_info(course.graph, kept)
    theme.chart(genes_figure(info, dark=theme.dark()), f"genes_{run.id}")
    st.caption(info.told)

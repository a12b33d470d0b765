"""The network of a run at one of its steps, as the ribbon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.figures.ribbon_step import STEP, RibbonStep
from pruneviz.studies.race_queue import KIND as RACE
from pruneviz.ui.ribbon import ribbon
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench
    from pruneviz.strategies.details import BoolArray


def draws(loaded: Workbench, run: RunView) -> bool:
    """Whether a run prunes or trains the network in hand."""
    kinds = (runs_data.FINE_TUNE, runs_data.STRATEGY, RACE)
    return run.kind in kinds and runs_data.about(loaded, run)


def show(graph: ChannelGraph, run: RunView, kept: BoolArray, step: int, *, key: str) -> None:
    """Draw what is left after a step or epoch, coloured by how much its weights have changed."""
    ribbon.draw(graph, at(graph, run, kept, step), key=f"ribbon_{key}")


def at(graph: ChannelGraph, run: RunView, kept: BoolArray, step: int) -> RibbonStep:
    """The run's network after a step or epoch."""
    since = STEP
    if run.kind == runs_data.FINE_TUNE:
        since = "the epoch before" if step else "the cut, by the repair"
    return RibbonStep.of(graph, kept, runs_data.movement(run).get(step, ()), since)

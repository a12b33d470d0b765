"""The pictures of runs: only what was measured on the same data and images shares a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.figures import (
    TradeoffPoint,
    TrainingInfo,
    tradeoff_figure,
    tradeoff_info,
    training_figure,
)
from pruneviz.studies.queue import data_called
from pruneviz.ui.frame import services, theme
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import points as prune_points
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from pruneviz.figures.training import What
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench

SHOWN = 3
"""Runs in the charts where nobody has picked any."""
MEASURED = ("after", "before", "baseline")


def first_shown(runs: list[RunView]) -> list[str]:
    """Return the ids of the newest runs on the data of the newest.

    A run that waits has nothing to draw: it is among them only where all wait.
    """
    begun = [run for run in runs if run.status != "queued"] or runs
    return [run.id for run in begun if run.spec.data == begun[0].spec.data][:SHOWN]


def by_data(runs: Iterable[RunView]) -> dict[str, list[RunView]]:
    """Return the runs by the name of their data: one data set a chart."""
    by_name: dict[str, tuple[Mapping[str, Any], list[RunView]]] = {}
    for run in runs:
        name = data_called(run.spec.data)
        while name in by_name and by_name[name][0] != run.spec.data:
            name += "'"  # another folder of the same name
        by_name.setdefault(name, (run.spec.data, []))[1].append(run)
    return {name: together for name, (_, together) in by_name.items()}


def training_info(runs: list[RunView]) -> TrainingInfo:
    """Return runs on the same data; baseline and chance as the runs themselves measured them.

    The baseline is drawn where there is one: runs that began with different networks, or on
    different images, have several.
    """
    results = [services.jobs().results(run.id) for run in runs]
    bases = {
        (result["baseline"]["accuracy"], result["baseline"].get("count"))
        for result in results
        if result.get("baseline")
    }
    networks = {str(run.spec.model) for run in runs}
    return TrainingInfo(
        tuple(runs_data.curve(run) for run in runs),
        baseline=bases.pop()[0] if len(bases) == 1 and len(networks) == 1 else None,
        epochs=max((int(run.spec.options.get("epochs", 3)) for run in runs), default=1),
        unit=_unit(runs),
        chance=_chance(runs),
    )


def _chance(runs: list[RunView]) -> float | None:
    """Chance level as the runs measured it; None where they did not, or on different images."""
    results = [services.jobs().results(run.id) for run in runs]
    levels = {(told.get(name) or {}).get("chance") for told in results for name in MEASURED}
    levels.discard(None)
    return levels.pop() if len(levels) == 1 else None


def training(runs: list[RunView], what: What) -> None:
    """Draw the course of runs, a chart for each data set."""
    together = by_data(runs)
    for number, (name, own) in enumerate(together.items()):
        if len(together) > 1:
            st.markdown(f"**{plain(name)}**")
        figure = training_figure(training_info(own), what, dark=theme.dark())
        theme.chart(figure, f"runs_{what}_{number}")


def tradeoff(loaded: Workbench, runs: list[RunView], chosen: list[RunView]) -> None:
    """Draw accuracy against MACs: runs on the network and data in hand, and plans."""
    mine = [run for run in runs if runs_data.about(loaded, run)]
    tuned = [p for run in mine if (p := runs_data.point(run)) is not None]
    tuned += [p for run in chosen if run in mine for p in runs_data.course(run)]
    points = comparable([*prune_points.of_plans(loaded), *_baselines(mine)], tuned)
    info = tradeoff_info(points, chance=_chance(mine))
    theme.chart(tradeoff_figure(info, dark=theme.dark()), "runs_tradeoff")


def comparable(plans: list[TradeoffPoint], runs: list[TradeoffPoint]) -> list[TradeoffPoint]:
    """Return the points measured on as many images as runs are; all of them without a run.

    Where a network is large, plans are previewed on fewer images than runs are measured on; a
    baseline on 64 images beside a run on 500 would be two claims in one picture.
    """
    counts = {p.images for p in runs if p.images}
    own = [p for p in plans if not counts or p.images in counts]
    baselines = [p for p in own if p.kind == "baseline"][:1]
    plain_points = [p for p in own if p.kind != "baseline" and p.key not in {r.key for r in runs}]
    return [*baselines, *plain_points, *runs]


def _baselines(runs: list[RunView]) -> list[TradeoffPoint]:
    """The unpruned network as runs measured it."""
    curves = []
    for run in runs:
        results = services.jobs().results(run.id)
        base, cost = results.get("baseline"), results.get("cost")
        if base and cost:
            macs, params = float(cost["baseline_macs"]), float(cost["baseline_params"])
            accuracy, count = float(base["accuracy"]), int(base["count"])
            curves.append(
                TradeoffPoint(
                    "baseline", "nothing pruned", "baseline", macs, params, accuracy, count
                )
            )
    return curves


def _unit(runs: list[RunView]) -> str:
    """What these runs count: a fine-tuning run its epochs, a strategy its steps."""
    kinds = {run.kind == runs_data.FINE_TUNE for run in runs}
    return "epoch" if kinds <= {True} else "step" if kinds == {False} else "epoch or step"

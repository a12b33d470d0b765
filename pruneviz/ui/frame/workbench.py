"""The network under study and what is known about it: loaded once, shared by all visitors."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.session.background import Answer
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.planning import plan_of
from pruneviz.ui.frame.loading import loading
from pruneviz.ui.frame.services import background, jobs
from pruneviz.ui.runs import records as runs_data

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.cost import Cost
    from pruneviz.criteria import Criterion, Ranking
    from pruneviz.data import DataSet
    from pruneviz.plan import Plan
    from pruneviz.training import Evaluation

Progress = Callable[[int, int, str], None]

PREVIEW_MACS = 40e9
"""Multiply-adds that a preview may cost: about two seconds on two cores."""
PREVIEW_IMAGES = (64, 1000)
RANKING_MACS = 20e9
RANKING_IMAGES = (32, 256)


@dataclass(frozen=True, eq=False)
class Bench:
    """A loaded subject. The model is shared: nobody may change it."""

    subject: Subject
    model: nn.Module
    data: DataSet
    graph: ChannelGraph
    source: dict[str, object]
    """The model's source as runs need it."""
    note: str
    """What has to be done first, such as fine-tuning a new classifier; empty if nothing."""
    preview_images: int
    """Validation images that every accuracy on the pages is measured on."""

    @property
    def title(self) -> str:
        """How a person calls it."""
        return self.subject.title


@st.cache_resource(max_entries=6, show_spinner=False)
def _load(digest: str, _subject: Subject, _progress: Progress | None) -> Bench:
    import torch

    from pruneviz.catalog import ModelSource, describe_model, load_dataset
    from pruneviz.cost import cost
    from pruneviz.trace import trace

    # One core is left to the pages and to the visitor's browser: sliders must answer meanwhile.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    data = load_dataset(_subject.data, **dict(_subject.options))
    source = ModelSource(_subject.model, _subject.weights, _subject.num_classes)
    model = source.load(_progress)
    if describe_model(model).classes != len(data.classes):
        source = replace(source, num_classes=len(data.classes))
        model = source.load(_progress)
    graph = trace(model, data.input_shape)
    low, high = PREVIEW_IMAGES
    affordable = int(PREVIEW_MACS / max(1, cost(graph).macs))
    images = min(len(data.val), max(low, min(high, affordable)))
    note = describe_model(model).note
    return Bench(_subject, model, data, graph, source.to_dict(), note, images)


@st.cache_resource(show_spinner=False)
def _known() -> set[str]:
    """Which subjects were loaded before."""
    return set()


def bench(subject: Subject) -> Bench:
    """Return the loaded subject; the first time this takes seconds, and shows what it does."""
    from importlib.util import find_spec
    from sys import modules

    if subject.digest in _known():  # quick, and fit for callbacks, which cannot draw
        return _load(subject.digest, subject, None)
    first = "torch" not in modules and find_spec("torch") is not None
    what = "Starting PyTorch and loading" if first else "Loading"
    with loading(f"{what} {subject.title} …") as place:

        def progress(done: int, total: int, name: str) -> None:
            share = min(1.0, done / total) if total else 0.0
            place.progress(share, f"Downloading {name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

        loaded = _load(subject.digest, subject, progress)
    _known().add(subject.digest)
    return loaded


@lru_cache(maxsize=1)
def criteria() -> dict[str, Criterion]:
    """Return the criteria by name, the studio's first choice first."""
    from pruneviz.criteria import criteria as table
    from pruneviz.criteria import find_criterion

    names = sorted(table()["name"], key=lambda name: name != Decisions().criterion)
    return {str(name): find_criterion(str(name)) for name in names}


def _family(criterion: str) -> tuple[str, ...]:
    """Return the criteria that are computed together: from weights, from one pass, or alone."""
    found = criteria()
    wanted = found.get(criterion)
    if wanted is None or wanted.own_pass:
        return (criterion,)  # an unknown one is refused by `rank`, with the choices
    return tuple(
        name for name, c in found.items() if not c.own_pass and c.needs_data == wanted.needs_data
    )


@st.cache_resource(max_entries=24, show_spinner=False)
def _rank(digest: str, names: tuple[str, ...], _bench: Bench) -> Ranking:
    from pruneviz.cost import cost
    from pruneviz.criteria import rank

    low, high = RANKING_IMAGES
    images = int(RANKING_MACS / (3 * max(1, cost(_bench.graph).macs)))  # a step is three passes
    images = max(low, min(high, images))
    return rank(_bench.model, _bench.graph, _bench.data, list(names), images=images)


def ranking(of: Bench, criterion: str) -> Ranking:
    """Return scores by a criterion, and by those computed with it; computed once."""
    stored = long_rankings(of).get(criterion) if _takes_long(criterion) else None
    if stored is not None:
        return stored
    names = tuple(n for n in _family(criterion) if n == criterion or n in _able(of))
    if names in _computed().get(of.subject.digest, {}):
        return _rank(of.subject.digest, names, of)
    with loading(f"Ranking {of.graph.num_units:,} units by {criterion} …"):
        found = _rank(of.subject.digest, names, of)
    _computed().setdefault(of.subject.digest, {})[names] = None
    return found


@lru_cache(maxsize=16)
def _able(of: Bench) -> frozenset[str]:
    """Return the criteria that have something to look at: batch-norm scales need batch norms."""
    from pruneviz.criteria import applicable

    return frozenset(applicable(of.model, of.graph))


@st.cache_resource(show_spinner=False)
def _computed() -> dict[str, dict[tuple[str, ...], None]]:
    """Which families of criteria were computed for which subject."""
    return {}


def offered_criteria(of: Bench) -> list[str]:
    """Return the criteria that take seconds here, and those whose long runs are done."""
    able, done = _able(of), long_rankings(of)
    return [n for n, c in criteria().items() if (n in done if c.own_pass else n in able)]


def _takes_long(criterion: str) -> bool:
    """Whether a criterion needs passes of its own: the oracle runs the network for every unit."""
    found = criteria().get(criterion)
    return found is not None and found.own_pass


def long_rankings(of: Bench) -> dict[str, Ranking]:
    """Return the rankings that runs in the background have computed, by criterion."""
    return {
        name: _stored(run.id, of)
        for name, run in runs_data.rank_runs(of).items()
        if run.status == "done"
    }


@st.cache_resource(max_entries=24, show_spinner=False)
def _stored(run: str, _bench: Bench) -> Ranking:
    from pruneviz.jobs.results import ranking_of

    return ranking_of(_bench.graph, jobs().files(run))


def computed_scores(of: Bench) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores that were computed for the subject so far, by criterion."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    for names in list(_computed().get(of.subject.digest, {})):
        found |= dict(_rank(of.subject.digest, names, of).scores)
    for name, ranked in long_rankings(of).items():
        found[name] = ranked.of(name)
    return {name: found[name] for name in criteria() if name in found}


@lru_cache(maxsize=2048)
def plan_and_cost(of: Bench, ranked: Ranking | None, decisions: Decisions) -> tuple[Plan, Cost]:
    """Return the plan that follows from decisions, and what it costs."""
    from pruneviz.cost import cost

    plan = plan_of(of.graph, ranked, decisions)
    return plan, cost(of.graph, plan)


def plan_at(of: Bench, decisions: Decisions) -> tuple[Plan, Cost]:
    """Return plan and cost, with the ranking that the decisions name if they need one."""
    needed = decisions.ratio > 0 or decisions.ratios or decisions.multiple > 1
    return plan_and_cost(of, ranking(of, decisions.criterion) if needed else None, decisions)


def cost_of(of: Bench, plan: Plan) -> Cost:
    """Return what any plan costs."""
    from pruneviz.cost import cost

    return cost(of.graph, plan)


def accuracy_key(of: Bench, plan: Plan | None) -> tuple[str, str, str, int]:
    """Name the measurement of a plan on the preview's images."""
    gone = plan.digest if plan is not None and plan.dropped else "baseline"
    return ("accuracy", of.subject.digest, gone, of.preview_images)


def measure(of: Bench, plan: Plan | None) -> Evaluation:
    """Measure the network that a plan leaves on the preview's validation images."""
    from pruneviz.surgery import prune
    from pruneviz.training import evaluate

    whole = plan is None or not plan.dropped
    model = of.model if whole or plan is None else prune(of.model, of.graph, plan)
    return evaluate(model, of.data, limit=of.preview_images)


def accuracy(of: Bench, plan: Plan | None, *, owner: str | None = None) -> Answer[Evaluation]:
    """Return what is known of a plan's accuracy, and have it measured if nothing is."""
    return background().ask(accuracy_key(of, plan), lambda: measure(of, plan), owner=owner)


def known_accuracy(of: Bench, plan: Plan | None) -> Evaluation | None:
    """Return a plan's accuracy if it was measured already."""
    return background().look(accuracy_key(of, plan)).value  # type: ignore[return-value]


def sentence(error: BaseException) -> str:
    """Return what a page says about an error."""
    return str(error) if isinstance(error, PruneVizError) else f"{type(error).__name__}: {error}"

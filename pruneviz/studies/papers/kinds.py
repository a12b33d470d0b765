"""Runs in the background: a claim put to the test, a run of a race, a run of a study."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import one_of
from pruneviz.errors import InvalidValueError
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.kinds import drive_to_network
from pruneviz.jobs.registry import register
from pruneviz.jobs.steps import known_options
from pruneviz.studies.pretraining_queue import KIND as PRETRAINING
from pruneviz.studies.race_queue import KIND as RACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.data import DataSet
    from pruneviz.studies.pretraining_run import StudyEvent
    from pruneviz.studies.race_result import Race

CLAIM = "claim"
PARTS = "parts.json"


@register(CLAIM)
def claim(context: JobContext) -> None:
    """Put a claim of a paper to the test; options are those of `pruneviz.studies.papers.Request`.

    The result "lab" is what `LabResult.to_json` writes. Parts that are done are kept in the run's
    folder, so a resumed run goes on after the last of them.
    """
    from pruneviz.studies.papers.experiment import perform
    from pruneviz.studies.papers.request import Request

    request = Request.from_dict(context.options)

    def tick(done: float) -> None:
        context.report(progress=done)
        context.check()

    def say(text: str) -> None:
        context.publish()  # a worker on another machine goes on from here
        context.report(f"Done: {text.split(':', 1)[0]}")

    context.report(f"Loading {request.network} and {request.called}")
    asked = Request.from_dict(context.run.spec.options)
    result = perform(request, keep=context.folder / PARTS, say=say, tick=tick, asked=asked)
    context.keep("lab", json.loads(result.to_json()))


@register(RACE)
def race(context: JobContext) -> None:
    """Run one strategy of a race with one seed.

    Options are `strategy`, `seed`, and those of the whole race (`RaceRequest.settings`). Results as
    of a strategy's run, and "race": the race with this run's outcome alone, which
    `pruneviz.studies.race_queue.gather` puts together with the others'.
    """
    from pruneviz.studies.race import line_up, outcome, run_one, split_of

    own, also = ("seeds", "network", "baseline"), ("strategies", "strategy", "seed")
    options = known_options(context, line_up, own=own, also=also)
    name, seed = options.pop("strategy", None), options.pop("seed", 0)
    if name is None:
        raise InvalidValueError("A run of a race needs the option 'strategy'; it is missing.")
    if context.spec.plan is not None:
        raise InvalidValueError("A race starts from the unpruned network; leave the plan out.")
    names = options.pop("strategies", [name])
    one_of("strategy of this race", name, names)
    parts: list[Race] = []

    def accuracy(of: str, split: str) -> float:
        measured = context.results["test"][of] if split == "test" else context.results[of]
        return float(measured["accuracy"])

    def run(model: nn.Module, graph: ChannelGraph, data: DataSet, **more: Any) -> Iterator[Any]:
        before = accuracy("baseline", split_of(data))
        part = line_up(model, graph, data, names, seeds=[seed], baseline=before, **options)
        called = context.run.spec.model["name"]
        if context.spec.model["name"] != called:  # here it is a copy of its folder
            part = replace(part, network=str(called))
        parts.append(part)
        context.keep(RACE, json.loads(part.to_json()))
        return run_one(part, name, seed, model, graph, data, **more)

    last = drive_to_network(context, run, {}, lambda _: None)
    (part,) = parts
    ended = outcome(seed, last, accuracy("after", part.split), context.seconds)
    context.keep(RACE, json.loads(replace(part, outcomes=(ended,)).to_json()))


@register(PRETRAINING)
def pretraining(context: JobContext) -> None:
    """Compare how far the run's network can be pruned with its weights, and with new ones.

    Options are those of `pruneviz.studies.pretraining_run`, and `seed`. Results as of a strategy's
    run, and "points", what was measured so far.
    """
    from pruneviz.studies.pretraining_run import run_study

    def note(event: StudyEvent) -> None:
        if event.points:
            context.keep("points", event.points)

    drive_to_network(context, run_study, context.options, note)

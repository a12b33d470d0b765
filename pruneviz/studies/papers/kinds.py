"""Runs in the background: a claim put to the test, a race of strategies, a run of a study."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.kinds import drive_to_network
from pruneviz.jobs.registry import register
from pruneviz.jobs.steps import known_options, load_subject
from pruneviz.studies.pretraining_queue import KIND as PRETRAINING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pruneviz.strategies import StrategyEvent
    from pruneviz.studies.pretraining_run import StudyEvent

CLAIM, RACE = "claim", "race"
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
        context.report(f"Done: {text.split(':', 1)[0]}")

    context.report(f"Loading {request.network} and {request.called}")
    result = perform(request, keep=context.folder / PARTS, say=say, tick=tick)
    context.keep("lab", json.loads(result.to_json()))


@register(RACE)
def race(context: JobContext) -> None:
    """Race strategies on the run's network and data; options are those of `race`.

    The result "race" is what `Race.to_json` writes; it grows with every strategy that has ended,
    and a resumed run goes on after the last of them.
    """
    from pruneviz.studies.race import DEFAULT
    from pruneviz.studies.race import race as run_race
    from pruneviz.studies.race_result import Race

    options = known_options(context, run_race, own=("resume", "watch"), also=("strategies",))
    options = {"strategies": DEFAULT, "seeds": (0, 1, 2), **options}
    total = len(set(options["strategies"])) * len(set(options["seeds"]))
    if context.spec.plan is not None:
        raise InvalidValueError("A race starts from the unpruned network; leave the plan out.")
    subject = load_subject(context)
    before = (
        Race.from_json(json.dumps(context.results["race"])) if "race" in context.results else None
    )
    ended = len(before.outcomes) if before is not None else 0
    seeds, names = tuple(dict.fromkeys(options["seeds"])), set(options["strategies"])
    keep: Callable[[StrategyEvent], None] | None = None

    def watch(event: StrategyEvent) -> None:
        nonlocal keep
        if event.step == 1:  # every strategy once, before the second seed
            seed = seeds[ended // len(names)]
            keep = context.course(subject.graph, f"{event.strategy}, seed {seed}")
        assert keep is not None
        keep(event)
        context.report(f"{event.strategy}: {event.message}", (ended + event.progress) / total)
        context.check()

    with context.watch(subject.model):
        context.report("Evaluating the network")
        for now in run_race(
            subject.model, subject.graph, subject.data, resume=before, watch=watch, **options
        ):
            ended = len(now.outcomes)
            context.keep("race", json.loads(now.to_json()))
            context.report(progress=ended / total)


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

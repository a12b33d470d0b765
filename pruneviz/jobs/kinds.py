"""PruneViz's own kinds of runs; torch and the networks are imported inside them, in the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pruneviz.errors import InvalidValueError
from pruneviz.jobs import healing
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.driving import drive
from pruneviz.jobs.registry import register
from pruneviz.jobs.steps import (
    RANKING,
    keep_cost,
    known_options,
    load_subject,
    measure,
    note,
    portable,
    save_network,
)
from pruneviz.stages import group_title

if TYPE_CHECKING:
    from pruneviz.sensitivity_result import Sensitivity
    from pruneviz.strategies import StrategyEvent

Event = TypeVar("Event", bound="StrategyEvent")

PARTIAL_SECONDS = 1.0  # between the writes of a result that grows
HAS_WEIGHTS = {"model", "removed"}  # the state of a strategy's step that has a network


@register("fine_tune")
def fine_tune(context: JobContext) -> None:
    """Prune by the plan, fine-tune, and measure before and after.

    Options are those of `pruneviz.fine_tune`, and two more: `repair`, whether training starts from
    the repaired network, and `teacher`, whether the unpruned one teaches it. Both are on by default
    where there is a plan (`pruneviz.training.preparation`).

    Results: "cost"; "start" (repaired, taught); "baseline" (the unpruned network), "cut" (pruned,
    where it is repaired then), "before" (what training starts from) and "after" (fine-tuned) on the
    validation images, and "test" with baseline and after where the data set has test images;
    "notes": sentences on what happened; "healing": what the network takes some images for after
    each epoch that it got wrong "before"; "moved": how much the repair changed each layer's
    weights, as each epoch's row tells of its training. Files: the weights and the plan.
    """
    from pruneviz.plan import Plan
    from pruneviz.repair import repair
    from pruneviz.strategies.movement import Movement
    from pruneviz.surgery import prune
    from pruneviz.training import fine_tune as train
    from pruneviz.training import settings_for
    from pruneviz.training.preparation import preparation

    own = ("batches", "resume", "task", "teacher", "progress")
    options = known_options(context, train, own=own, also=("repair", "teacher"))
    subject = load_subject(context)
    start, options = preparation(subject.model, subject.plan is not None, options, context.resume)
    context.keep("start", {"repaired": start.repair, "taught": start.teacher})
    model, removed = subject.model, subject.plan or Plan(subject.graph)
    if subject.plan is not None:
        model = prune(subject.model, subject.graph, subject.plan)
    begin = model.state_dict() if context.resume is None else context.resume["model"]
    movement = Movement(subject.graph, begin, removed)
    cost = keep_cost(context, subject.graph, subject.plan)
    with ExitStack() as watched:
        watched.enter_context(context.watch(subject.model))
        if model is not subject.model:
            watched.enter_context(context.watch(model))
        measure(context, "baseline", subject.model, subject.data)
        if start.repair and subject.plan is not None and context.resume is None:
            measure(context, "cut", model, subject.data)
            context.report("Repairing")
            model = repair(subject.model, subject.graph, subject.plan, subject.data)
            watched.enter_context(context.watch(model))
            context.keep("moved", movement.to(model.state_dict(), removed))
        healing.begin(context, measure(context, "before", model, subject.data), subject.data)
        follow = healing.following(context)

        def each(event: Any) -> None:
            note(context, event)
            follow(event)

        context.report("Fine-tuning")
        known = {name: value for name, value in options.items() if name != "device"}
        epochs = settings_for(model, subject.data, **known).epochs
        teacher = subject.model if start.teacher else None
        events = train(
            model, subject.data, **options, teacher=teacher, batches=True, resume=context.resume
        )

        def beside(event: Any) -> Mapping[str, Any]:
            return {"moved": movement.to(event.state["model"], removed)}

        drive(context, events, each=each, epochs=epochs, also=cost, beside=beside)
        measure(context, "after", model, subject.data, again=True)
    save_network(context, model, subject.plan)


@register("strategy")
def strategy(context: JobContext) -> None:
    """Prune by a strategy of `pruneviz.strategies`; the option `strategy` is its name.

    Other options are `target_macs`, `seed` and the strategy's own. Results as of "fine_tune", and
    "front" where the strategy looks for one.
    """
    from pruneviz.strategies import run_strategy

    options = dict(context.options)
    name = options.pop("strategy", None)
    if name is None or context.spec.plan is not None:
        got = "no name" if name is None else "a plan"
        raise InvalidValueError(
            "A strategy run needs the option 'strategy' with the name of one, and decides itself "
            f"which units to prune; got {got}."
        )

    def front(event: StrategyEvent) -> None:
        if event.front:
            context.keep("front", event.front, every=PARTIAL_SECONDS if not event.final else 0)

    drive_to_network(context, partial(run_strategy, name), options, front)


def drive_to_network(
    context: JobContext,
    run: Callable[..., Iterator[Event]],
    options: Mapping[str, Any],
    each: Callable[[Event], None],
) -> Event:
    """Prune the run's network by a generator of strategy events; keep what comes out.

    Returns the last event.

    Args:
        context: The run.
        run: Called with network, graph, data, `resume` and the options.
        options: Its options.
        each: Called with every event.
    """
    from pruneviz.plan import Plan
    from pruneviz.strategies.movement import Movement

    subject = load_subject(context)
    with context.watch(subject.model):
        measure(context, "baseline", subject.model, subject.data)
        events = run(subject.model, subject.graph, subject.data, resume=context.resume, **options)
        steps = context.course(subject.graph)
        weights, before = subject.model.state_dict(), Plan(subject.graph)
        if context.resume is not None and context.resume.keys() >= HAS_WEIGHTS:
            weights = context.resume["model"]
            before = Plan.from_json(subject.graph, context.resume["removed"])
        movement = Movement(subject.graph, weights, before)

        def note_step(event: Event) -> None:
            steps(event)
            each(event)

        def beside(event: Event) -> Mapping[str, Any]:
            if event.state is None or not event.state.keys() >= HAS_WEIGHTS:
                return {}
            removed = Plan.from_json(subject.graph, event.state["removed"])
            return {"moved": movement.to(event.state["model"], removed)}

        last = drive(context, events, each=note_step, beside=beside)
        if last is None or last.result is None:
            raise InvalidValueError("The strategy ended without a network.")
        result = last.result
        keep_cost(context, subject.graph, result.plan)
        measure(context, "after", result.model, subject.data, again=True)
    save_network(context, result.model, result.plan)
    return last


@register("sensitivity")
def sensitivity(context: JobContext) -> None:
    """Scan the sensitivity of every group; the option `criterion` orders its units.

    Other options are those of `pruneviz.sensitivity`. The result "sensitivity" grows meanwhile;
    `pruneviz.jobs.results.sensitivity_of` reads it.
    """
    from pruneviz.criteria import rank
    from pruneviz.criteria.usual import usual_images
    from pruneviz.sensitivity import sensitivity as scan

    options = known_options(context, scan, own=("progress", "task"), also=("criterion", "ratios"))
    criterion = options.pop("criterion", "l1")
    subject = load_subject(context)

    def grow(result: Sensitivity) -> None:
        every = 0.0 if result.final else PARTIAL_SECONDS
        context.keep("sensitivity", portable(result), every=every)

    with context.watch(subject.model):
        context.report(f"Ranking by {criterion}")
        images = usual_images(subject.graph, criterion)  # as many as a screen ranks on: one order
        ranking = rank(
            subject.model,
            subject.graph,
            subject.data,
            [criterion],
            images=images,
            progress=context.tick,
        )
        context.keep("ranked", {"criterion": criterion, "images": ranking.images})
        context.report("Measuring every group at every ratio", 0.0)  # the ranking has ended at 1
        events = scan(subject.model, subject.graph, subject.data, ranking, criterion, **options)
        drive(context, events, each=grow, fraction=lambda result: result.progress)


@register("rank")
def rank_units(context: JobContext) -> None:
    """Rank all units by the criteria in the option `criteria`, which may include the slow oracle.

    Other options are those of `pruneviz.rank`. The file holds the scores;
    `pruneviz.jobs.results.ranking_of` reads it.
    """
    from pruneviz.criteria import rank

    options = known_options(context, rank, own=("progress",), also=("criteria",))
    criteria = options.pop("criteria", ["l1"])
    subject = load_subject(context)

    with context.watch(subject.model):
        context.report("Ranking by " + ", ".join(criteria))
        ranking = rank(
            subject.model,
            subject.graph,
            subject.data,
            criteria,
            progress=context.tick,
            **options,
        )
    context.write(RANKING, ranking.to_json().encode())
    about = {"criteria": list(ranking.criteria), "images": ranking.images, "file": RANKING}
    context.keep("ranking", {**about, "network": subject.graph.digest})


@register("latency")
def latency(context: JobContext) -> None:
    """Time the pruned network and the unpruned one.

    Options are those of `pruneviz.measure_latency`, and `plans`: more plans, as JSON. The result
    "latency" names networks by their plans' digests; `pruneviz.jobs.results.latency_of` reads it.
    """
    from pruneviz.latency import latency as timed
    from pruneviz.latency import measure_latency
    from pruneviz.plan import Plan

    own = ("progress", "macs")
    options = known_options(context, measure_latency, own=own, also=("plans",))
    texts = options.pop("plans", [])
    subject = load_subject(context)
    plans = [Plan.from_json(subject.graph, text) for text in texts]
    if subject.plan is not None:
        plans.insert(0, subject.plan)
    context.report("Timing the networks, alternating")
    measured = timed(
        subject.model,
        subject.graph,
        {plan.digest: plan for plan in plans},
        progress=context.tick,
        **options,
    )
    context.keep("latency", portable(measured))


@register("width_latency")
def width_latency(context: JobContext) -> None:
    """Time the network against the width of one group (option `group`), the rest by the plan.

    Other options are those of `pruneviz.measure_latency`, and `widths`. The result is "widths";
    `pruneviz.jobs.results.widths_of` reads it.
    """
    from pruneviz.latency import measure_latency
    from pruneviz.latency import width_latency as timed

    own, also = ("progress", "macs"), ("group", "widths")
    options = known_options(context, measure_latency, own=own, also=also)
    group, widths = options.pop("group", ""), options.pop("widths", None)
    subject = load_subject(context)
    title = group_title(subject.graph, group)
    context.report(f"Timing the widths of {title}, alternating")
    curve = timed(
        subject.model,
        subject.graph,
        group,
        widths,
        plan=subject.plan,
        progress=context.tick,
        **options,
    )
    context.keep("widths", portable(curve))

"""PruneViz's own kinds of runs; torch and the networks are imported inside them, in the worker."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.jobs.checkpoints import atomic_write
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.registry import register
from pruneviz.jobs.views import plain

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.data import DataSet
    from pruneviz.plan import Plan
    from pruneviz.sensitivity import Sensitivity
    from pruneviz.strategies import StrategyEvent
    from pruneviz.training import Evaluation

WEIGHTS = "weights.safetensors"
PLAN = "plan.json"
RANKING = "ranking.json"
PARTIAL_SECONDS = 1.0  # between the writes of a result that grows


@dataclass(frozen=True, eq=False)
class Subject:
    """What a run works on: the unpruned network and the plan that the run starts from."""

    model: nn.Module
    data: DataSet
    graph: ChannelGraph
    plan: Plan | None


def load_subject(context: JobContext) -> Subject:
    """Load what the specification names, and follow the network's channels.

    A network whose classifier does not fit the data's classes gets a new one, as `load_model` does.
    """
    from dataclasses import replace

    from pruneviz import catalog
    from pruneviz.catalog import ModelSource
    from pruneviz.plan import Plan
    from pruneviz.trace import trace
    from pruneviz.training import default_device

    def downloading(done: int, total: int, what: str) -> None:
        context.report(f"Loading {what}" + (f", {done / total:.0%}" if total else ""))

    if not context.spec.model or not context.spec.data:
        raise InvalidValueError(
            f"A run of kind '{context.run.kind}' needs the sources of a network and of a data set, "
            f"but got {dict(context.spec.model)} and {dict(context.spec.data)}."
        )
    context.report("Loading images")
    source = dict(context.spec.data)
    data = catalog.load_dataset(source["name"], **source.get("options", {}))
    context.check()
    context.report("Loading the network")
    named = ModelSource.from_dict(context.spec.model)
    model = named.load(progress=downloading)
    if named.num_classes is None and catalog.describe_model(model).classes != len(data.classes):
        model = replace(named, num_classes=len(data.classes)).load(progress=downloading)
    graph = trace(model, data.input_shape)
    plan = Plan.from_json(graph, context.spec.plan) if context.spec.plan else None
    context.check()
    return Subject(model.to(default_device()), data, graph, plan)


@register("fine_tune")
def fine_tune(context: JobContext) -> None:
    """Prune by the plan, fine-tune, and measure before and after.

    Options are those of `pruneviz.fine_tune`. Results: "cost"; "baseline" (the unpruned network),
    "before" (pruned) and "after" (fine-tuned) on the validation images, and "test" with baseline
    and after where the data set has test images. Files: the weights and the plan.
    """
    from pruneviz.surgery import prune
    from pruneviz.training import fine_tune as train

    options = known_options(context, train, own=("batches", "resume"))
    subject = load_subject(context)
    model = subject.model
    if subject.plan is not None:
        model = prune(subject.model, subject.graph, subject.plan)
    cost = keep_cost(context, subject.graph, subject.plan)
    with ExitStack() as watched:
        watched.enter_context(context.watch(subject.model))
        if model is not subject.model:
            watched.enter_context(context.watch(model))
        measure(context, "baseline", subject.model, subject.data)
        measure(context, "before", model, subject.data)
        context.report("Fine-tuning")
        events = train(model, subject.data, **options, batches=True, resume=context.resume)
        context.drive(events, epochs=options.get("epochs", _default(train, "epochs")), also=cost)
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
            f"which units go; got {got}."
        )
    subject = load_subject(context)

    def front(event: StrategyEvent) -> None:
        if event.front:
            context.keep("front", event.front, every=PARTIAL_SECONDS if not event.final else 0)

    with context.watch(subject.model):
        measure(context, "baseline", subject.model, subject.data)
        events = run_strategy(
            name, subject.model, subject.graph, subject.data, resume=context.resume, **options
        )
        last = context.drive(events, each=front)
        if last is None or last.result is None:
            raise InvalidValueError(f"Strategy '{name}' ended without a network.")
        result = last.result
        keep_cost(context, subject.graph, result.plan)
        measure(context, "after", result.model, subject.data, again=True)
    save_network(context, result.model, result.plan)


@register("sensitivity")
def sensitivity(context: JobContext) -> None:
    """Scan the sensitivity of every group; the option `criterion` orders its units.

    Other options are those of `pruneviz.sensitivity`. The result "sensitivity" grows meanwhile;
    `pruneviz.jobs.findings.sensitivity_of` reads it.
    """
    from pruneviz.criteria import rank
    from pruneviz.sensitivity import sensitivity as scan

    options = known_options(context, scan, also=("criterion", "ratios"))
    criterion = options.pop("criterion", "l1")
    subject = load_subject(context)

    def grow(found: Sensitivity) -> None:
        every = 0.0 if found.final else PARTIAL_SECONDS
        context.keep("sensitivity", portable(found), every=every)

    with context.watch(subject.model):
        context.report(f"Ranking by {criterion}")
        ranking = rank(
            subject.model, subject.graph, subject.data, [criterion], progress=context.tick
        )
        context.report("Measuring every group at every ratio")
        events = scan(subject.model, subject.graph, subject.data, ranking, criterion, **options)
        context.drive(events, each=grow, fraction=lambda found: found.images / found.total)


@register("rank")
def rank_units(context: JobContext) -> None:
    """Rank all units by the criteria in the option `criteria`, the slow oracle among them.

    Other options are those of `pruneviz.rank`. The file holds the scores;
    `pruneviz.jobs.findings.ranking_of` reads it.
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
    atomic_write(context.folder / RANKING, ranking.to_json().encode())
    about = {"criteria": list(ranking.criteria), "images": ranking.images, "file": RANKING}
    context.keep("ranking", {**about, "network": subject.graph.digest})


def measure(
    context: JobContext, name: str, model: nn.Module, data: DataSet, *, again: bool = False
) -> None:
    """Store the network's evaluation under `name`, on the test images too; once is enough."""
    from pruneviz.training import evaluate

    if name in context.found and not again:
        return
    context.report(f"Evaluating the network ({name})")
    if data.test is not None and name != "before":
        test = summary(evaluate(model, data, split="test"))
        context.keep("test", {**context.found.get("test", {}), name: test})
    context.keep(name, summary(evaluate(model, data)))


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON: top-1 accuracy 0..1, over all and by class; loss; images."""
    return {
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "count": evaluation.count,
        "classes": list(evaluation.classes),
        "per_class": [value if value == value else None for value in evaluation.per_class],
    }


def keep_cost(context: JobContext, graph: ChannelGraph, plan: Plan | None) -> dict[str, Any]:
    """Store what the plan costs, and return what each row of history repeats of it."""
    from pruneviz.cost import cost

    found = cost(graph, plan)
    left = graph.num_units - (len(plan) if plan is not None else 0)
    now = {"macs": found.macs, "params": found.params, "units_left": left}
    before = {"baseline_macs": found.baseline_macs, "baseline_params": found.baseline_params}
    context.keep("cost", {**now, **before, "units": graph.num_units})
    return now


def save_network(context: JobContext, model: nn.Module, plan: Plan | None) -> None:
    """Write the weights and the plan that they belong to into the run's folder."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    content = save({name: value.contiguous() for name, value in state.items()})
    atomic_write(context.folder / WEIGHTS, content)
    files = [WEIGHTS]
    if plan is not None:
        atomic_write(context.folder / PLAN, plan.to_json().encode())
        files.append(PLAN)
    context.keep("files", files)


def known_options(
    context: JobContext,
    function: Callable[..., Any],
    own: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the run's options for `function`, which must know them all (but for its `own`).

    Raises:
        UnknownNameError: it does not; the choices are listed.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    known = {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is keyword and name not in own
    } | set(also)
    for name in context.options:
        if name not in known:
            raise UnknownNameError(f"option of a {context.run.kind} run", name, known)
    return dict(context.options)


def portable(result: Any) -> dict[str, Any]:
    """Return a result as JSON, its graph by digest only."""
    found = {}
    for item in fields(result):
        value = getattr(result, item.name)
        found[item.name] = value.digest if item.name == "graph" else plain(value)
    return found


def _default(function: Callable[..., Any], name: str) -> Any:
    return inspect.signature(function).parameters[name].default

"""The steps that runs are made of: load the subject, measure, write the results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.orders import interruptible
from pruneviz.jobs.views import plain

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.channels import ChannelGraph
    from pruneviz.data import DataSet
    from pruneviz.plan import Plan
    from pruneviz.training import Evaluation

WEIGHTS = "weights.safetensors"
PLAN = "plan.json"
RANKING = "ranking.json"


@dataclass(frozen=True, eq=False)
class Loaded:
    """What a run works on: the unpruned network and the plan that the run starts from."""

    model: nn.Module
    data: DataSet
    graph: ChannelGraph
    plan: Plan | None


def load_subject(context: JobContext) -> Loaded:
    """Load what the specification names, and trace the network's channels.

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
    with interruptible(context.check):
        data = catalog.load_dataset(source["name"], **source.get("options", {}))
        context.report("Loading the network")
        named = ModelSource.from_dict(context.spec.model)
        # Weights of a run are in records and store, which may be away for a moment.
        model = context.patiently(lambda: named.load(progress=downloading))
        if named.num_classes is None and catalog.describe_model(model).classes != len(data.classes):
            model = replace(named, num_classes=len(data.classes)).load(progress=downloading)
    graph = trace(model, data.input_shape)
    plan = Plan.from_json(graph, context.spec.plan) if context.spec.plan else None
    context.check()
    return Loaded(model.to(default_device()), data, graph, plan)


def measure(
    context: JobContext, name: str, model: nn.Module, data: DataSet, *, again: bool = False
) -> Evaluation | None:
    """Evaluate the network, also on the test images, and store the result under `name`.

    Returns the evaluation; None if it was stored before and `again` is not set.
    """
    from pruneviz.training import chance, evaluate, verdict

    if name in context.results and not again:
        return None
    context.report(f"Evaluating the network ({name})")
    if data.test is not None and name not in ("before", "cut"):
        test = summary(evaluate(model, data, split="test"))
        context.keep("test", {**context.results.get("test", {}), name: test})
    evaluation = evaluate(model, data)
    context.keep(name, summary(evaluation) | {"chance": chance(data.val)})
    if name == "after":
        add_note(context, verdict(evaluation, chance(data.val)))
    return evaluation


def note(context: JobContext, event: Any) -> None:
    """Keep an event's message, such as that an epoch was restarted."""
    add_note(context, getattr(event, "message", ""))


def add_note(context: JobContext, sentence: str) -> None:
    """Keep a sentence for whoever looks at the run, each only once."""
    notes = context.results.get("notes", [])
    if sentence and sentence not in notes:
        context.keep("notes", [*notes, sentence])


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
    """Store what the plan costs, and return the part that each row of history repeats."""
    from pruneviz.cost import cost

    price = cost(graph, plan)
    left = graph.num_units - (len(plan) if plan is not None else 0)
    planned = {"macs": price.macs, "params": price.params, "units_left": left}
    before = {"baseline_macs": price.baseline_macs, "baseline_params": price.baseline_params}
    context.keep("cost", {**planned, **before, "units": graph.num_units})
    return planned


def save_network(context: JobContext, model: nn.Module, plan: Plan | None) -> None:
    """Write the weights and the plan that they belong to into the run's folder."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    content = save({name: value.contiguous() for name, value in state.items()})
    context.write(WEIGHTS, content)
    files = [WEIGHTS]
    if plan is not None:
        context.write(PLAN, plan.to_json().encode())
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
    values = {}
    for item in fields(result):
        value = getattr(result, item.name)
        values[item.name] = value.digest if item.name == "graph" else plain(value)
    return values

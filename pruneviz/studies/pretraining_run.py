"""Do pretrained networks prune better than those trained from scratch?

Hubens et al. (2020), *An Experimental Study of the Impact of Pre-Training on the Pruning of a
Convolutional Neural Network*: the same network, once from pretrained weights and once from new
ones, is trained on the task with the same budget, pruned to a series of sparsities, fine-tuned
with the same budget again, and the accuracies are compared at equal reduction of the parameters.

Here, for one network, data set and seed (a queue runs as many as are wanted, and
`pruneviz.studies.pretraining.PretrainingStudy` gathers them in one figure): both are trained
for `epochs_before`; from each trained network, and for each of `sparsities` reductions evenly
spaced up to `largest`, the units with the lowest scores go until so many of the parameters are
gone, and `epochs` of fine-tuning follow. The network that comes out is the pretrained one with the
largest reduction whose validation accuracy is within `tolerance` of its own baseline's.

What differs, and why: whole filters are removed (the paper speaks of sparsity), every group at the
same ratio, and each reduction starts from the trained network rather than from the one before, so
that every point stands for one run with the same budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.strategies import begin
from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import Target, by_ratio, check, reach
from pruneviz.strategies.options import FineTuning, option
from pruneviz.strategies.run import Run
from pruneviz.strategies.soft import renew
from pruneviz.studies.pretraining import StudyPoint

STARTS = ("pretrained", "scratch")


@dataclass(frozen=True)
class Options(FineTuning):
    """The budget, the same for both starts, and the reductions."""

    epochs_before: int = option(10, "Epochs of training before any pruning.", minimum=1)
    epochs: int = option(3, "Epochs of fine-tuning after each pruning.", minimum=0)
    criterion: str = option(
        "l1", "Criterion by which a group's units are compared.", choices="criteria"
    )
    sparsities: int = option(4, "Number of reductions of the parameters.", minimum=1)
    largest: float = option(
        0.8, "Largest share of the parameters to remove.", minimum=0.01, maximum=0.99
    )
    tolerance: float = option(
        0.01, "Accuracy that the resulting network may lose.", minimum=0.0, maximum=1.0
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Train twice, prune each to every reduction, compare."""
    check(run.graph, Target(params=1 - options.largest))
    each = options.epochs + 2
    run.steps = 2 * (options.epochs_before + options.sparsities * each) + 1
    run.memory.setdefault("points", [])
    run.memory.setdefault("best", {})
    for start in STARTS:
        if run.once(f"{start}: start"):
            run.load(Plan(run.graph), run.model.state_dict())
            if start == "scratch":
                renew(run.network, run.seed_of("scratch"))
        train = replace(options, epochs=options.epochs_before)
        yield from run.fine_tune(
            f"{start}: train", options.epochs_before, f"Training, {start}", options=train
        )
        if run.once(f"{start}: baseline"):
            run.memory["base"] = run.weights()
            _note(run, start)
            if start == STARTS[0]:
                run.memory["best"] = {"plan": run.plan.to_json(), "weights": run.weights()}
        for k in range(1, options.sparsities + 1):
            yield from _reduce(run, options, start, k)
    best = run.memory["best"]
    if run.once("take"):
        run.load(Plan.from_json(run.graph, best["plan"]), best["weights"])


def _reduce(run: Run, options: Options, start: str, k: int) -> Iterator[StrategyEvent]:
    """One point: prune the trained network, fine-tune it, note what comes out."""
    gone = options.largest * k / options.sparsities
    name = f"{start}, {gone:.0%} of the parameters"
    if run.once(f"{name}: prune"):
        run.load(Plan(run.graph), run.memory["base"])
        scores = run.rank(options.criterion, name, comparable=False)
        run.shrink(reach(run.graph, by_ratio(run.graph, scores), Target(params=1 - gone)))
        yield run.event("prune", f"Removed {name}")
    yield from run.fine_tune(f"{name}: tune", options.epochs, f"Fine-tuning, {name}")
    if run.once(f"{name}: point"):
        point = _note(run, start)
        base = points_of(run)[0]
        if start == STARTS[0] and point.accuracy >= base.accuracy - options.tolerance:
            run.memory["best"] = {"plan": run.plan.to_json(), "weights": run.weights()}
        yield run.event("search", f"Measured {name}")


def _note(run: Run, start: str) -> StudyPoint:
    """Measure the current network and add it to the points."""
    evaluation = run.evaluate()
    test = run.evaluate("test").accuracy if run.data.test is not None else None
    price = cost(run.graph, run.plan)
    point = StudyPoint(
        start, 1 - price.params_ratio, price.macs, price.params, evaluation.accuracy, test
    )
    run.memory["points"].append(asdict(point))
    return point


def points_of(run: Run) -> tuple[StudyPoint, ...]:
    """What was measured so far."""
    return tuple(StudyPoint(**p) for p in run.memory.get("points", ()))


STUDY = Strategy(
    name="pretraining_study",
    title="Pretraining study",
    help="Compares how far a pretrained network and one trained from scratch can be pruned.",
    paper="Hubens et al. 2020",
    options=Options,
    run=run,
    reaches_target=False,
    takes_target=False,
    default_target=None,
)
"""Runs like a strategy, with options, events and checkpoints, but is none of the registry."""


@dataclass(frozen=True, eq=False)
class StudyEvent(StrategyEvent):
    """An event of the study, with what it has measured so far."""

    points: tuple[StudyPoint, ...] = field(default=(), repr=False)


def run_study(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    seed: int = 0,
    resume: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[StudyEvent]:
    """Compare both starts of a network; arguments, events and errors are those of `run_strategy`.

    The last event's network is the pretrained one, cut as far as the tolerance allows.
    """
    under_way = begin(STUDY, model, graph, data, seed=seed, resume=resume, **options)
    for event in under_way.events():
        yield StudyEvent(**vars(event), points=points_of(under_way))

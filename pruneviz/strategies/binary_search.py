"""Binary search for the width of each layer that keeps the original's accuracy.

Zhang, Qin & Chan (2017), *An Efficient Binary Search Based Neuron Pruning Method for ConvNet
Condensation* (ICONIP). Only the abstract is public. From it: neurons are ranked by magnitude and
pruned layer by layer, and the number to remove from each is found by binary search so that the
condensed network keeps the accuracy of the original.

Chosen here: the order of the layers (first to last); the l2 norm as magnitude; a trial removes the
m lowest units of the layer from the network that the layers before it left, trains for a few
mini-batches, and holds if validation accuracy is at least the original's less `tolerance`; the
largest m that held is taken, with the weights of its trial. With n units in a layer (one stays)
there are n possible m, so ceil(log2(n)) trials suffice and the whole search makes at most the sum
of ceil(log2(n + 1)). With a MACs target, the search also ends once that is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pruneviz.channels import Group
from pruneviz.plan import Plan
from pruneviz.stages import group_title
from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import lowest
from pruneviz.strategies.details import Trial
from pruneviz.strategies.options import FineTuning, batch_of_updates, lr_of_updates, option
from pruneviz.strategies.run import Run
from pruneviz.strategies.tensors import plain_layout
from pruneviz.strategies.updates import BatchStream, sgd, update


@dataclass(frozen=True)
class Options(FineTuning):
    """The search, and the fine-tuning after it."""

    criterion: str = option(
        "l2",
        "Criterion by which a layer's units are compared.",
        choices="criteria",
        label="Criterion",
    )
    tolerance: float = option(
        0.01,
        "How much accuracy a trial may lose against the original.",
        minimum=0.0,
        maximum=1.0,
        label="Accuracy loss allowed per trial",
        unit="0 to 1",
    )
    order: str = option(
        "forward",
        "Which layers are searched first.",
        choices={"forward": "input first", "backward": "output first"},
        label="Order of the layers",
    )
    updates: int = option(
        50,
        "Mini-batch updates per trial.",
        minimum=0,
        label="Updates per trial",
        unit="mini-batches",
    )
    update_batch: int = batch_of_updates()
    update_lr: float = lr_of_updates(1e-3)
    repair: bool = option(
        False,
        "Repair in every trial, before its updates; not in the paper.",
        label="Repair in every trial",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Search group after group, then fine-tune."""
    groups = list(run.graph.prunable_groups)
    if options.order == "backward":
        groups.reverse()
    if run.once("measure"):
        baseline = run.evaluate()
        run.memory.update(goal=baseline.accuracy, accuracy=baseline.accuracy, loss=baseline.loss)
        run.memory.update(group=0, low=0, high=groups[0].width - 1, trials=0)
        run.memory.update(plan=run.plan.to_json(), weights=run.weights())
    if "search" not in run.done:
        yield from _search(run, options, groups)
    yield from run.fine_tune("final", options.epochs, share=(0.9, 1.0))


def _search(run: Run, options: Options, groups: list[Group]) -> Iterator[StrategyEvent]:
    """Run the trials; `low` units of the group can go for certain, `high` + 1 are too many.

    `memory` holds the state from which every trial of the group starts; the network is the best
    trial's.
    """
    memory = run.memory
    limited = run.target.macs is not None
    while memory["group"] < len(groups):
        group = groups[memory["group"]]
        low, high = memory["low"], memory["high"]
        if low < high:
            count = (low + high + 1) // 2
            holds, accuracy, trained = _trial(run, options, group, count)
            goal = memory["goal"] - options.tolerance
            run.details = Trial(group.name, group.width, low, high, count, accuracy, goal)
            memory["trials"] += 1
            if holds:
                memory["low"] = count
            else:
                memory["high"] = count - 1
            verdict = "high enough" if holds else "too low"
            title = group_title(run.graph, group.name)
            yield run.event(
                "search",
                f"{title}: without {count} of {group.width}, accuracy is {accuracy:.1%}, {verdict}",
                loss=trained,
                measured=(memory["accuracy"], memory["loss"]),
                progress=0.9 * (memory["group"] + 0.5) / len(groups),
            )
            continue
        if limited and run.target.met(run.graph, run.plan):
            break
        memory["group"] += 1
        if memory["group"] < len(groups):
            memory.update(low=0, high=groups[memory["group"]].width - 1)
            memory.update(plan=run.plan.to_json(), weights=run.weights())
    run.done.append("search")
    run.memory = {"trials": memory["trials"]}


def _trial(run: Run, options: Options, group: Group, count: int) -> tuple[bool, float, float]:
    """Whether accuracy holds without `count` of the group's units; accuracy, training loss."""
    memory = run.memory
    best = (run.plan, run.weights())
    start = Plan.from_json(run.graph, memory["plan"])
    run.load(start, memory["weights"])
    scores = run.rank(options.criterion, f"rank {group.name}", comparable=False)
    after = start.drop_units(lowest(run.graph, scores, {group.name: count}).dropped)
    run.shrink(after, repair=options.repair)
    seed = run.seed_of(f"{group.name} {count}")
    stream = BatchStream(run.data, options.update_batch, seed, run.device)
    plain_layout(run.network)
    network = run.network.to(memory_format=torch.channels_last)
    optimizer = sgd(network, options.update_lr, 0.9, options.weight_decay, {})
    losses = []
    for _ in range(options.updates):
        x, y = stream.next()
        losses.append(update(network, optimizer, x, y, seed + stream.drawn))
    network.eval()
    run.passes += options.updates * options.update_batch / len(run.data.train)
    evaluation = run.evaluate()
    holds = evaluation.accuracy >= memory["goal"] - options.tolerance
    if holds:
        memory.update(accuracy=evaluation.accuracy, loss=evaluation.loss)
    else:
        run.load(*best)
    return holds, evaluation.accuracy, float(np.mean(losses)) if losses else float("nan")


STRATEGY = Strategy(
    name="binary_search",
    title="Binary search",
    help="Finds by binary search how many filters each layer can lose at the same accuracy.",
    paper="Zhang, Qin & Chan 2017 (ICONIP), as far as its abstract goes",
    options=Options,
    run=run,
    reaches_target=False,
    default_target=None,
)

"""Interleaved pruning by the Taylor criterion.

Molchanov, Tyree, Karras, Aila & Kautz (2016), *Pruning Convolutional Neural Networks for Resource
Efficient Transfer Learning* (later *... Inference*), arXiv:1611.06440:

1. fine-tune the network on the target task;
2. alternate: a few mini-batch updates; rank all feature maps by
   |1/M sum dC/dz * z|, averaged over the images and divided by its l2 norm in the layer, less
   lambda times the MFLOPs of the map; remove the lowest over all layers;
3. stop at the target and fine-tune.

They make 30 updates of 32 images between removals of one map each (`updates=30, remove_each=1`),
SGD at 1e-4 with momentum 0.9 and weight decay 1e-4, and lambda = 1e-3. All but the first two are
the defaults here: a map at a time takes hours for most networks, so by default the target is
reached in 15 removals of equal shrinkage, with 10 updates before each.

The paper's initial fine-tuning is also at 1e-4, without batch norm: `lr_before=1e-4`.

Lambda needs a unit; ours is MFLOPs of the unpruned map, two per multiply-add, against scores after
the l2 normalisation (about 1 / sqrt(width) each). In VGG-16 at 224 x 224 a map of conv1_2 takes
57.8 MFLOPs, and lambda = 1e-3 counts 0.058 against it; in ResNet-20 at 32 x 32 maps take 0.04 to
0.3 MFLOPs, and it counts less than 0.0003, which hardly ever changes an order. There lambda has an
effect from about 0.1 on.

The absolute value is taken per image (`criterion="taylor_image"`, the default) or of the mean over
all images ("taylor"); both are gathered during the updates. Any other criterion is ranked on the
current network before each removal.

What differs, and why: coupled channels (residual streams) go together, their scores added
before the norm is taken over the group. The network really shrinks after every removal, so it gets
faster as it is pruned; the optimiser's momentum is cut accordingly. The fine-tuning at the start is
one epoch rather than "until convergence", as networks here mostly come trained on their data.

The target may be one of MACs, of parameters (`target_params`) or of accuracy (`min_accuracy`, the
last network that held it is taken); the first that is met ends the loop. Without any, half of the
MACs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pruneviz.channels import BoolArray, ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria.ranking import normalised
from pruneviz.plan import Plan
from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import FloatArray, by_score, check
from pruneviz.strategies.details import Removals
from pruneviz.strategies.options import (
    FineTuning,
    batch_of_updates,
    lr_of_updates,
    option,
    params_target,
)
from pruneviz.strategies.run import Run
from pruneviz.strategies.taylor_pace import ITERATIONS, Pace, pace_of
from pruneviz.strategies.taylor_scores import GATHERED, Gates, locate
from pruneviz.strategies.tensors import narrow, plain_layout
from pruneviz.strategies.updates import BatchStream, averages_of, sgd, update
from pruneviz.training import Evaluation


@dataclass(frozen=True)
class Options(FineTuning):
    """The loop of removals and updates, and the fine-tuning before and after it."""

    criterion: str = option(
        "taylor_image",
        "Criterion by which units of all layers are compared.",
        choices="criteria",
        label="Criterion",
    )
    epochs_before: int = option(
        1,
        "Epochs of fine-tuning before the first removal.",
        minimum=0,
        label="Fine-tuning before the first removal",
        unit="epochs",
    )
    lr_before: float | None = option(
        None,
        "1e-4 in the paper, without batch norm; by default as in the fine-tuning at the end.",
        minimum=0.0,
        label="Learning rate of the first fine-tuning",
    )
    remove_each: int | None = option(
        None,
        "1 in the paper; by default follows from the number of removals.",
        minimum=1,
        label="Removed at a time",
        unit="units",
    )
    iterations: int | None = option(
        None,
        f"Each shrinks the network by the same factor towards the target; {ITERATIONS} by default.",
        minimum=1,
        label="Number of removals",
    )
    updates: int = option(
        10,
        "Mini-batch updates between removals; 30 in the paper.",
        minimum=1,
        label="Updates between removals",
        unit="mini-batches",
    )
    update_batch: int = batch_of_updates()
    update_lr: float = lr_of_updates(1e-4)
    update_weight_decay: float = option(
        1e-4, "Weight decay of these updates.", minimum=0.0, label="Weight decay of the updates"
    )
    flops_lambda: float = option(
        1e-3,
        "How much a unit's own MFLOPs count against it (lambda of the paper).",
        minimum=0.0,
        label="Weight of a unit's MFLOPs (λ)",
    )
    target_params: float | None = params_target()
    min_accuracy: float | None = option(
        None,
        "Stop before validation accuracy falls below this; a removal that goes below is undone.",
        minimum=0.0,
        maximum=1.0,
        label="Stop above an accuracy of",
        unit="0 to 1",
    )
    repair: bool = option(
        False,
        "Repair after every removal (slow); not in the paper.",
        label="Repair after every removal",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Fine-tune, alternate updates and removals, fine-tune."""
    run.target = replace(run.target, params=options.target_params)
    check(run.graph, run.target)
    pace = pace_of(run.graph, run.target, options.remove_each, options.iterations)
    lr = options.lr if options.lr_before is None else options.lr_before
    before = replace(options, epochs=options.epochs_before, lr=lr)
    yield from run.fine_tune("before", options.epochs_before, options=before, share=(0.0, 0.15))
    if "prune" not in run.done:
        yield from _alternate(run, options, pace)
    yield from run.fine_tune("final", options.epochs, share=(0.75, 1.0))


def _alternate(run: Run, options: Options, pace: Pace) -> Iterator[StrategyEvent]:
    memory = run.memory
    memory.setdefault("drawn", 0)
    memory.setdefault("iteration", 0)
    memory.setdefault("averages", {})
    seed = run.seed_of("prune")
    stream = BatchStream(run.data, options.update_batch, seed, run.device, memory["drawn"])
    places = locate(run.network, run.graph) if options.criterion in GATHERED else None
    flops = unit_mflops(run.graph)
    losses, seen = [], 0
    ranked: list[FloatArray] = []  # since the last event, and what each removal left
    stayed: list[BoolArray] = []
    if options.min_accuracy is not None and "held" not in memory:
        _hold(run, run.evaluate())
    while not _met(run):
        left = len(run.plan)
        gates = Gates(run.graph, run.removed, places) if places is not None else None
        losses += _updates(run, options, stream, seed, gates)
        seen += options.updates * options.update_batch
        run.passes += options.updates * options.update_batch / len(run.data.train)
        if gates is not None:
            scores = normalised(run.graph, gates.scores(options.criterion))
        else:
            scores = run.rank(options.criterion, f"prune {stream.drawn}", comparable=True)
        scores = scores - options.flops_lambda * flops
        _remove(run, options, pace, scores)
        ranked.append(scores)
        stayed.append(run.plan.kept)
        ended = _met(run) or len(run.plan) == left  # nothing may be removed any more
        if options.min_accuracy is None and seen < len(run.data.val) and not ended:
            continue  # measuring would cost more than the updates
        evaluation = run.evaluate()
        measured = (evaluation.accuracy, evaluation.loss)
        message = f"Removed {len(run.plan)} units"
        if options.min_accuracy is not None and evaluation.accuracy < options.min_accuracy:
            held = memory["held"]
            run.load(Plan.from_json(run.graph, held["plan"]), held["weights"])
            measured = (held["accuracy"], held["loss"])
            message = f"Further removal costs too much accuracy; {len(run.plan)} units removed"
            ended = True
        elif options.min_accuracy is not None:
            _hold(run, evaluation)
        if ended:
            run.done.append("prune")
            run.memory.clear()
        run.details = Removals(np.stack(ranked), np.stack(stayed))
        yield run.event(
            "prune",
            message,
            loss=float(np.mean(losses)),
            measured=measured,
            progress=_progress(run),
        )
        if ended:
            return
        losses, seen, ranked, stayed = [], 0, [], []
    run.done.append("prune")
    run.memory.clear()


def _met(run: Run) -> bool:
    return run.target.limited and run.target.met(run.graph, run.plan)


def _hold(run: Run, evaluation: Evaluation) -> None:
    """Remember the current network, to come back to it."""
    run.memory["held"] = {
        "plan": run.plan.to_json(),
        "weights": run.weights(),
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
    }


def _updates(
    run: Run, options: Options, stream: BatchStream, seed: int, gates: Gates | None
) -> list[float]:
    """Train for the updates between two removals; the gates gather the scores."""
    plain_layout(run.network)
    network = run.network.to(memory_format=torch.channels_last)
    optimizer = sgd(
        network, options.update_lr, 0.9, options.update_weight_decay, run.memory["averages"]
    )
    losses = []
    for _ in range(options.updates):
        x, y = stream.next()
        losses.append(update(network, optimizer, x, y, seed + stream.drawn, gates))
        if gates is not None:
            gates.collect()
    network.eval()
    run.memory["drawn"] = stream.drawn
    run.memory["averages"] = averages_of(network, optimizer)
    return losses


def _remove(run: Run, options: Options, pace: Pace, scores: FloatArray) -> None:
    """Take the lowest units over all layers out of the network and of the averages."""
    before = run.plan
    order = by_score(run.graph, scores, before)
    after, run.memory["iteration"] = pace.next_plan(
        run.graph, run.target, order, before, run.memory["iteration"]
    )
    run.memory["averages"] = narrow(run.memory["averages"], run.graph, before, after)
    run.shrink(after, repair=options.repair)


def _progress(run: Run) -> float:
    """Progress between the fine-tuning before and after, by how far the MACs have fallen."""
    whole = 1 - (run.target.macs if run.target.macs is not None else run.target.params or 0.0)
    price = cost(run.graph, run.plan)
    left = price.macs_ratio if run.target.macs is not None else price.params_ratio
    return 0.15 + 0.6 * min(1.0, (1 - left) / whole if whole else 1.0)


def unit_mflops(graph: ChannelGraph) -> FloatArray:
    """(num_units,) MFLOPs (two per multiply-add) of each unit's own filters, unpruned."""
    mflops = np.zeros(graph.num_units)
    for layer in graph.layers:
        np.add.at(mflops, layer.units, 2e-6 * layer.macs / layer.out_channels)
    return mflops


def budget(epochs: int, images: int) -> dict[str, Any]:
    """Half of the passes between removals, the other half at the end.

    There are at least ten updates between two removals, unless that would give fewer than five
    removals.
    """
    between = epochs // 2
    whole = max(1, between * images // 32)
    iterations = max(min(whole, 5), whole // 10)
    return {
        "epochs_before": 0,
        "epochs": epochs - between,
        "updates": whole // iterations,
        "iterations": iterations,
    }


STRATEGY = Strategy(
    name="taylor",
    title="Taylor, interleaved",
    help="Alternates mini-batch updates and removals of the filters that matter least to the loss.",
    paper="Molchanov et al. 2016, arXiv:1611.06440",
    options=Options,
    run=run,
    budget=budget,
    other_targets=("target_params", "min_accuracy"),
)

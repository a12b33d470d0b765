"""Soft filter pruning: filters are zeroed after every epoch, and learn again in the next.

He, Kang, Dong, Fu & Yang (2018), *Soft Filter Pruning for Accelerating Deep Convolutional Neural
Networks* (IJCAI): after each epoch the same share of every layer's filters, those with the smallest
l2 norm, is set to zero; they stay in the network and are updated in the next epoch. After the last
epoch the zeroed filters are removed, with no fine-tuning after that.

Variants: *asymptotic* (He, Dong, Kang, Fu, Yan & Yang 2020, arXiv:1808.07471): the share grows
along P(i) = a exp(-k i) + b from 0 to the goal P, with 3/4 P after an eighth of the epochs.
`criterion="taylor"` (Rong, Yu, Zhang & Ou 2020, *Soft Taylor Pruning*): the filters that matter
least to the loss instead of those with the smallest norm. `from_scratch` trains from new weights.

What differs, and why: the share follows from the MACs target. Filters are zeroed as in the paper
(weights and bias of the layer, not the norm after it: a norm at zero would let no gradient back);
but the accuracy of an event is that of the network *without* them, which is what is delivered. A
zeroed filter still passes on its norm's offset, which the norms behind it have got used to; so
their statistics are measured anew on training images (`recalibrate`), which learns nothing. The
papers leave residual streams as wide as they are, since a stream's channel goes only where all
layers that add to it lose it; so do we, and narrow such layers (`streams`) only where the target
cannot be met without. The learning rate is the papers' (0.1 from scratch, 0.01 from a trained
network), on a cosine instead of steps.

The papers' epochs are 391 updates long, and there are 200 of them: time to get over each zeroing,
and to get used to the last. With a few dozen updates an epoch the network does neither, and what
is left after the removal may be no better than chance; `epochs_after` then fine-tunes it, and
`every` leaves more updates between zeroings. In a race half of the budget follows the removal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph, Group
from pruneviz.plan import Plan
from pruneviz.strategies.base import FineTuning, Strategy, StrategyEvent, option
from pruneviz.strategies.budget import Target, by_ratio, lowest, reach
from pruneviz.strategies.run import Run
from pruneviz.surgery import prune
from pruneviz.training import EpochEvent, evaluate, recalibrate


@dataclass(frozen=True)
class Options(FineTuning):
    """What is zeroed, and the training."""

    epochs: int = option(10, "Epochs of training; filters are zeroed after each.", minimum=1)
    criterion: str = option(
        "l2", "By what the filters of a layer are compared.", choices="criteria"
    )
    asymptotic: bool = option(False, "Let the share of zeroed filters grow over the epochs.")
    from_scratch: bool = option(False, "Start from new weights instead of the network's.")
    every: int = option(1, "Epochs between two zeroings.", minimum=1)
    streams: bool = option(
        False,
        "Narrow layers whose channels are added to others' (residual streams), too. The papers do "
        "not; it is done anyway where the target cannot be met without.",
    )
    recalibrate: bool = option(
        True, "Measure the batch norms' statistics anew when filters are removed."
    )
    epochs_after: int = option(
        0,
        "Epochs of fine-tuning after the removal. The paper needs none, but trains for 200 epochs "
        "of 391 updates; give half of a small budget.",
        minimum=0,
    )
    repair: bool = option(
        False,
        "Refit what is left when the zeroed filters are removed; not in the paper.",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Train, zeroing after every epoch; remove at the end."""
    run.steps = options.epochs + options.epochs_after + 1
    if options.from_scratch and run.once("start"):
        renew(run.network, run.seed_of("start"))
    graph = run.graph
    goal = goal_of(graph, run.target, options.streams)

    def soften(event: EpochEvent) -> tuple[float, float] | None:
        last = event.epoch == event.epochs
        if event.epoch % options.every and not last:
            return None
        share = 1.0
        if options.asymptotic and not last:
            share = asymptotic_share(event.epoch, event.epochs)
        counts = {name: math.floor(share * count + 0.5) for name, count in goal.items()}
        scores = run.rank(options.criterion, f"soft {event.epoch}", comparable=False)
        run.plan = lowest(graph, scores, counts)
        zero_filters(run.network, graph, run.plan)
        if not options.recalibrate:
            return None
        small = prune(run.network, graph, run.plan)
        recalibrate(small, run.data, seed=run.seed_of("recalibrate"))
        found = evaluate(small, run.data)
        return found.accuracy, found.loss

    lr = options.lr if options.lr is not None else (0.1 if options.from_scratch else 0.01)
    use = replace(options, lr=lr)
    yield from run.fine_tune("soft", options.epochs, "Soft pruning", options=use, each=soften)
    if len(run.removed) < len(run.plan):
        run.shrink(run.plan, repair=options.repair)
        if options.recalibrate and not options.repair:
            recalibrate(run.network, run.data, seed=run.seed_of("recalibrate"))
    after = replace(options, epochs=options.epochs_after)
    yield from run.fine_tune("final", options.epochs_after, options=after)


def goal_of(graph: ChannelGraph, target: Target, streams: bool) -> dict[str, int]:
    """How many units each group is to lose, all at the same ratio, so that the target is met.

    Groups that several layers produce stay whole unless `streams` is set, or they are needed.
    """
    own = {group.name: 1.0 for group in graph.prunable_groups if len(_producers(graph, group)) < 2}
    order = by_ratio(graph, np.zeros(graph.num_units), own)
    if streams or not target.met(graph, Plan(graph, order.tolist())):
        order = by_ratio(graph, np.zeros(graph.num_units))
    return {name: len(units) for name, units in reach(graph, order, target).by_group().items()}


def _producers(graph: ChannelGraph, group: Group) -> list[str]:
    """The group's layers that make its channels; depthwise convolutions only pass them on."""
    return [name for name in group.layers if graph.layer(name).conv_groups == 1]


def asymptotic_share(epoch: int, epochs: int) -> float:
    """The share of the goal that is zeroed after an epoch: 0 at 0, 3/4 at an eighth, 1 at the end.

    a exp(-k t) + b through these points, t = epoch / epochs: with q = exp(-k / 8),
    (1 - q) / (1 - q^8) = 3/4, whose solution is found by bisection.
    """
    low, high = 1e-6, 1 - 1e-6
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if (1 - q) / (1 - q**8) > 0.75 else (low, q)
    return float((1 - q ** (8 * epoch / epochs)) / (1 - q**8))


@torch.no_grad()
def zero_filters(network: nn.Module, graph: ChannelGraph, plan: Plan) -> None:
    """Set weights and biases of the plan's filters to zero, in place; they can learn again."""
    parameters: Mapping[str, nn.Parameter] = dict(network.named_parameters())
    own = {layer.weight for layer in graph.layers}
    own |= {name.removesuffix("weight") + "bias" for name in own}
    for slots in graph.tensors:
        if slots.name not in own or slots.name not in parameters:
            continue
        for dim, units in slots.slots.items():
            gone = np.flatnonzero((units >= 0) & ~plan.kept[units])
            if dim not in slots.reads and gone.size:
                weight = parameters[slots.name]
                weight.index_fill_(dim, torch.from_numpy(gone).to(weight.device), 0)


def renew(network: nn.Module, seed: int) -> None:
    """Draw new weights, as the layers themselves do when they are made."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def budget(epochs: int, images: int) -> dict[str, int]:
    """Half of the epochs, one at least, are soft; the others follow the removal."""
    soft = max(1, epochs // 2)
    return {"epochs": soft, "epochs_after": epochs - soft}


STRATEGY = Strategy(
    name="soft",
    title="Soft filter pruning",
    help="Zeroes each layer's smallest filters after every epoch but lets them learn again.",
    paper="He et al. 2018 (IJCAI), arXiv:1808.06866",
    options=Options,
    run=run,
    budget=budget,
)

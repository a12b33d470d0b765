"""Soft filter pruning: filters are zeroed after every epoch, and learn again in the next.

He, Kang, Dong, Fu & Yang (2018), *Soft Filter Pruning for Accelerating Deep Convolutional Neural
Networks* (IJCAI): after each epoch the same share of every layer's filters, those with the smallest
l2 norm, is set to zero; they stay in the network and are updated in the next epoch. After the last
epoch the zeroed filters are removed, with no fine-tuning after that.

Variants: *asymptotic* (He, Dong, Kang, Fu, Yan & Yang 2020, arXiv:1808.07471): the share grows
along P(i) = a exp(-k i) + b from 0 to the goal P, with 3/4 P after an eighth of the epochs.
`criterion="taylor"` (Rong, Yu, Zhang & Ou 2020, *Soft Taylor Pruning*): the filters that matter
least to the loss instead of those with the smallest norm. `from_scratch` trains from new weights.

`rate` is the authors' own form (github.com/he-y/soft-filter-pruning, their public code): *every*
convolution has this share of its filters zeroed, also before the first epoch; all parameters decay;
the learning rate falls to a fifth after 30, 60 and 80 % of the epochs. A residual stream keeps its
width and a branch adds what is left of its channels: `narrow_branches` makes that network, narrower
in memory and with the same outputs. Table 1 counts 42.2 % fewer FLOPs for ResNet-20 at 30 %, with
fractions of filters (`nominal_macs`); whole ones give 39.0 %. The plan, and so an event's MACs,
cover only what can leave a network that keeps its streams; the message before the last gives those
of the narrow one. `hard` keeps the first choice at zero, which the paper compares with.

Without `rate` the share follows from the MACs target, and only layers that alone produce their
channels are zeroed, at a higher share in return; others (`streams`) only if the target cannot be
met without them. The learning rate then follows a cosine, and biases and norms do not decay.

In both forms filters are zeroed as in the paper (weights and bias of the layer, not the norm after
it: a norm at zero would let no gradient back); but the accuracy of an event is that of the network
*without* them, which is what is delivered. A zeroed filter still passes on its norm's offset, to
which the norms behind it have adapted; so their statistics are measured again on training images
(`recalibrate`), which learns nothing. The learning rate is the papers': 0.1 from scratch, 0.01 from
a trained network.

The papers train for 200 epochs of 391 updates: time to recover from each zeroing, and to adapt to
the last. With a few dozen updates per epoch the network does neither, and what is left after the
removal may be no better than chance; `epochs_after` then fine-tunes it, and `every` leaves more
updates between zeroings. In a race half of the budget follows the removal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.plan import Plan
from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.branches import convolutions, narrow_branches
from pruneviz.strategies.budget import Target, by_ratio, lowest, reach
from pruneviz.strategies.options import FineTuning, option
from pruneviz.strategies.run import Run
from pruneviz.strategies.soft_rate import (
    held_at_zero,
    producers,
    removable,
    silence,
    smallest,
    zero_rows,
    zeroed,
)
from pruneviz.strategies.zeroing import filter_norms, told, zero_filters
from pruneviz.surgery import prune
from pruneviz.trace import trace
from pruneviz.training import SCHEDULES, EpochEvent, evaluate, recalibrate


@dataclass(frozen=True)
class Options(FineTuning):
    """What is zeroed, and the training."""

    epochs: int = option(
        10,
        "Epochs of training; filters are zeroed after each.",
        minimum=1,
        label="Training with zeroing",
        unit="epochs",
    )
    criterion: str = option(
        "l2",
        "Criterion by which a layer's filters are compared.",
        choices="criteria",
        label="Criterion",
    )
    asymptotic: bool = option(
        False,
        "Let the share of zeroed filters grow over the epochs.",
        label="Zero more each epoch",
    )
    from_scratch: bool = option(
        False, "Start from new weights instead of the network's.", label="Start from new weights"
    )
    every: int = option(
        1,
        "Epochs from one zeroing to the next.",
        minimum=1,
        label="Interval between zeroings",
        unit="epochs",
    )
    streams: bool = option(
        False,
        "Also narrow layers whose channels are added to others' (residual streams). The papers do "
        "not; PruneViz does so anyway if the target cannot be met otherwise.",
        label="Narrow residual streams, too",
    )
    recalibrate: bool = option(
        True,
        "Recompute batch norm statistics when filters are removed.",
        label="Recompute batch norm statistics",
    )
    rate: float | None = option(
        None,
        "Zero this share of every convolution's filters, as the authors' code does; the MACs "
        "target then has no effect.",
        minimum=0.0,
        maximum=0.99,
        label="Share zeroed in every convolution",
        unit="0 to 1",
    )
    norm: str = option(
        "l2",
        "The norm by which a convolution's filters are compared, if a rate is set.",
        choices=("l1", "l2"),
        label="Norm, if that share is set",
    )
    hard: bool = option(
        False,
        "Choose filters once, before training, and keep them at zero.",
        label="Keep the first choice at zero",
    )
    schedule: str | None = option(  # type: ignore[assignment]
        None,
        "How the learning rate changes; by default in steps with a rate, else by a cosine.",
        choices=SCHEDULES,
        label="Learning-rate schedule",
    )
    decay: str | None = option(
        None,
        "What weight decay applies to: only weights, or biases and norms too; by default all with "
        "a rate, as in the authors' code, else weights.",
        choices={"weights": "only weights", "all": "biases and norms, too"},
        label="Weight decay applies to",
    )
    epochs_after: int = option(
        0,
        "Epochs of fine-tuning after the removal. The paper needs none, but trains for 200 epochs "
        "of 391 updates; with a small budget, spend half of it here.",
        minimum=0,
        label="Fine-tuning after the removal",
        unit="epochs",
    )
    repair: bool = option(
        False,
        "Repair when the zeroed filters are removed; not in the paper.",
        label="Repair on removal",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Train, zeroing after every epoch; remove at the end."""
    by_rate = options.rate is not None
    run.steps = options.epochs + options.epochs_after + 1 + by_rate
    if options.from_scratch and run.once("start"):
        renew(run.network, run.seed_of("start"))
    goal = {} if by_rate else goal_of(run.graph, run.target, options.streams)
    if (by_rate or options.hard) and run.once("zero"):
        first = options.asymptotic and not options.hard
        _zero(run, options, goal, asymptotic_share(0, options.epochs) if first else 1.0, "start")

    def soften(event: EpochEvent) -> tuple[float, float] | None:
        last = event.epoch == event.epochs
        if not options.hard:
            if event.epoch % options.every and not last:
                return None
            growing = options.asymptotic and not last
            share = asymptotic_share(event.epoch, event.epochs) if growing else 1.0
            _zero(run, options, goal, share, f"soft {event.epoch}")
        return _without(run, options)

    use = replace(
        options,
        lr=options.lr if options.lr is not None else (0.1 if options.from_scratch else 0.01),
        schedule=options.schedule or ("steps" if by_rate else "cosine"),
        decay=options.decay or ("all" if by_rate else "weights"),
    )
    with held_at_zero(run.network, options.hard):
        yield from run.fine_tune("soft", options.epochs, "Soft pruning", options=use, each=soften)
    if run.once("remove"):
        if by_rate:
            silence(run.network, run.graph.input_shape)
        if narrower := len(run.removed) < len(run.plan):
            zeros = zeroed(run.network)
            run.shrink(run.plan, repair=options.repair)
            if by_rate and options.repair:  # a refit must not bring the streams' zeros back
                for name, module in convolutions(run.network).items():
                    if module.out_channels == run.graph.layer(name).out_channels:
                        zero_rows(module, zeros[name])
                silence(run.network, run.graph.input_shape)
        if options.recalibrate and not options.repair and (narrower or by_rate):
            recalibrate(run.network, run.data, seed=run.seed_of("recalibrate"))
        if by_rate:
            yield run.event("prune", _told(run, options))
    after = replace(
        use, epochs=options.epochs_after, lr=options.lr, schedule=options.schedule or "cosine"
    )
    with held_at_zero(run.network, by_rate):
        yield from run.fine_tune("final", options.epochs_after, options=after)


def _zero(run: Run, options: Options, goal: Mapping[str, int], share: float, stage: str) -> None:
    """Choose again and zero, at this share (0..1) of the rate or of the goal."""
    norms = filter_norms(run.network, run.graph)
    if options.rate is not None:
        rows = smallest(run.network, share * options.rate, int(options.norm[1:]))
        run.details = told(norms, rows)
        for name, chosen in rows.items():
            zero_rows(run.network.get_submodule(name), chosen)
        run.plan = removable(run.graph, rows)
        return
    counts = {name: math.floor(share * count + 0.5) for name, count in goal.items()}
    scores = run.rank(options.criterion, stage, comparable=False)
    run.plan = lowest(run.graph, scores, counts)
    run.details = told(norms, {name: run.plan.dropped_filters(name) for name in norms})
    zero_filters(run.network, run.graph, run.plan)


def _without(run: Run, options: Options) -> tuple[float, float] | None:
    """Accuracy and loss of the network without the zeroed filters; None to measure by the plan."""
    network = run.network
    if options.rate is not None:
        network = deepcopy(network)
        silence(network, run.graph.input_shape)
    elif not options.recalibrate:
        return None
    small = prune(network, run.graph, run.plan)
    if options.recalibrate:
        recalibrate(small, run.data, seed=run.seed_of("recalibrate"))
    evaluation = evaluate(small, run.data)
    return evaluation.accuracy, evaluation.loss


def _told(run: Run, options: Options) -> str:
    """Say what the rate did, and what the network with narrow branches costs."""
    small = narrow_branches(run.network, run.graph.input_shape)
    left = cost(trace(small, run.graph.input_shape)).macs / cost(run.graph).macs
    return (
        f"Every convolution lost {options.rate:.0%} of its filters; with narrow branches, "
        f"{left:.1%} of the MACs are left"
    )


def goal_of(graph: ChannelGraph, target: Target, streams: bool) -> dict[str, int]:
    """How many units each group must lose, all at the same ratio, to meet the target.

    Groups that several layers produce stay whole unless `streams` is set or they are needed.
    """
    own = {group.name: 1.0 for group in graph.prunable_groups if len(producers(graph, group)) < 2}
    order = by_ratio(graph, np.zeros(graph.num_units), own)
    if streams or not target.met(graph, Plan(graph, order.tolist())):
        order = by_ratio(graph, np.zeros(graph.num_units))
    return {name: len(units) for name, units in reach(graph, order, target).by_group().items()}


def asymptotic_share(epoch: int, epochs: int) -> float:
    """The share of the goal zeroed after an epoch: 0 at the start, 3/4 at an eighth, 1 at the end.

    a exp(-k t) + b through these points, t = epoch / epochs: with q = exp(-k / 8),
    (1 - q) / (1 - q^8) = 3/4, whose solution is found by bisection.
    """
    low, high = 1e-6, 1 - 1e-6
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if (1 - q) / (1 - q**8) > 0.75 else (low, q)
    return float((1 - q ** (8 * epoch / epochs)) / (1 - q**8))


def renew(network: nn.Module, seed: int) -> None:
    """Draw new weights, as the layers do when they are created."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def budget(epochs: int, images: int) -> dict[str, int]:
    """Half of the epochs, at least one, are soft; the others follow the removal."""
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
    other_targets=("rate",),
)

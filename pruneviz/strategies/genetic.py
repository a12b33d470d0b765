"""Evolution of which filters stay, for accuracy and MACs at once.

Reinhold & Roisenberg (2019), *Filter Pruning for Efficient Transfer Learning in Deep Convolutional
Neural Networks* (ICAISC). Only the abstract is public: the network is transferred to its task,
filters are pruned by a genetic algorithm, and many FLOPs go.

All else is ours: the chromosome, the fitness and the selection. NSGA-II (Deb et al. 2002) with
binary tournaments, uniform crossover and bit flips, so that the whole front of accuracy against
MACs comes out instead of one weighting of the two. There is one gene per *unit*, as coupled
channels live and die together. Fitness is the accuracy on validation images of the network with the
other units silenced (no training), and the exact MACs. The first population prunes random units at
shares from 0 to `first_drop`, so that it spans the front from the start. With `start="magnitude"`
every second network lacks the units of smallest l1 norm instead, the same share of every group;
with `start="repaired"` those that cost least after a repair (`pruneviz.allocation`). A chromosome
that keeps no unit of a group gets the group's largest back. In the end the most accurate point
within the MACs target is pruned and fine-tuned; `event.front` holds all points, and
`FrontPoint.plan(graph)` makes any of them a plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from pruneviz.channels import BoolArray, ChannelGraph
from pruneviz.cost import cost
from pruneviz.plan import Plan
from pruneviz.replay import Replay, scan
from pruneviz.strategies.base import FrontPoint, Strategy, StrategyEvent
from pruneviz.strategies.budget import FloatArray, by_ratio
from pruneviz.strategies.details import Population
from pruneviz.strategies.nsga2 import GeneArray, Generation, evolve
from pruneviz.strategies.options import FineTuning, option
from pruneviz.strategies.run import Run


@dataclass(frozen=True)
class Options(FineTuning):
    """The evolution, and the fine-tuning before and after it."""

    epochs_before: int = option(
        1,
        "Epochs of transfer before the evolution.",
        minimum=0,
        label="Transfer before the evolution",
        unit="epochs",
    )
    population: int = option(
        24, "Networks per generation.", minimum=4, label="Generation size", unit="networks"
    )
    generations: int = option(
        12,
        "How many times the best networks are bred and judged again.",
        minimum=1,
        label="Generations after the first",
    )
    images: int | None = option(
        256,
        "Validation images to measure a network's accuracy on; empty for all.",
        minimum=1,
        label="Sample for the fitness",
        unit="images",
    )
    first_drop: float = option(
        0.6,
        "Largest share of units pruned in the first population.",
        minimum=0.0,
        maximum=1.0,
        label="Largest share pruned at the start",
        unit="0 to 1",
    )
    start: str = option(
        "random",
        "What is pruned in the first population: random units, or in every second network the "
        "units of smallest norm, as in uniform pruning, or those that cost least after a repair.",
        choices={
            "random": "random units",
            "magnitude": "half by smallest norm",
            "repaired": "half by sensitivity after a repair",
        },
        label="First population",
    )
    crossover: float = option(
        0.9,
        "How often a child mixes the genes of two networks, rather than copying one.",
        minimum=0.0,
        maximum=1.0,
        label="Crossover probability",
        unit="0 to 1",
    )
    mutations: float = option(
        4.0,
        "Genes flipped per child, on average.",
        minimum=0.0,
        label="Mutations per child",
        unit="genes",
    )
    repair: bool = option(
        False,
        "Repair the network chosen from the front; not in the paper.",
        label="Repair the chosen network",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Transfer, evolve, take a point of the front, fine-tune."""
    run.steps = options.epochs_before + options.generations + 2 + options.epochs + 1
    before = replace(options, epochs=options.epochs_before)
    yield from run.fine_tune("before", options.epochs_before, "Transfer", options=before)
    if "evolve" not in run.done:
        yield from _evolve(run, options)
    if run.once("prune"):
        run.shrink(run.plan, repair=options.repair)
        run.memory.clear()
        yield run.event("prune", f"Chose a network from the front: {len(run.plan)} units removed")
    yield from run.fine_tune("final", options.epochs)


def _evolve(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Evolve, one event per generation; `memory` holds the last one."""
    judge = Judge(run, options.images)
    size = run.rank("l2", "size", comparable=False)
    memory = run.memory
    memory.setdefault("generation", -1)
    for number in range(memory["generation"] + 1, options.generations + 1):
        random = np.random.default_rng(run.seed_of("evolve", number))
        if number == 0:
            genes = first_genes(run.graph, options, random)
            if options.start == "magnitude":
                norms = run.rank("l1", "start", comparable=False)
                genes[1::2] = smallest_gone(run.graph, norms, options)[1::2]
            elif options.start == "repaired":
                genes[1::2] = cheapest_gone(run, options)[1::2]
            generation = judge.of(repaired(run.graph, genes, size))
        else:
            last = Generation(memory["genes"].numpy().astype(bool), memory["fitness"].numpy())
            generation = evolve(
                last, judge.of, partial(repaired, run.graph, scores=size), random,
                crossover=options.crossover, mutations=options.mutations,
            )  # fmt: skip
        memory["genes"] = torch.from_numpy(generation.genes.astype(np.uint8))
        memory["fitness"] = torch.from_numpy(generation.fitness.copy())
        memory["generation"] = number
        points = tuple(judge.point(generation, index) for index in generation.front())
        run.plan = chosen(run, points).plan(run.graph)
        if number == options.generations:
            run.done.append("evolve")
        run.details = Population(
            accuracy=1 - generation.fitness[:, 0],
            macs=generation.fitness[:, 1],
            genes=generation.genes,
        )
        yield run.event(
            "search",
            f"Generation {number} of {options.generations}: {len(points)} networks on the front",
            front=points,
        )


def first_genes(graph: ChannelGraph, options: Options, random: np.random.Generator) -> GeneArray:
    """The whole network, and others without more and more random units."""
    shares = np.linspace(0, options.first_drop, options.population)[:, None]
    draws: GeneArray = random.random((options.population, int(graph.prunable.sum()))) >= shares
    return draws


def smallest_gone(graph: ChannelGraph, norms: FloatArray, options: Options) -> GeneArray:
    """Networks without the same shares as in `first_genes`, but of each group's smallest units."""
    order = by_ratio(graph, norms)
    total = int(graph.prunable.sum())
    genes = np.ones((options.population, graph.num_units), dtype=bool)
    for row, share in zip(
        genes, np.linspace(0, options.first_drop, options.population), strict=True
    ):
        row[order[: round(share * total)]] = False
    prunable: GeneArray = genes[:, graph.prunable]
    return prunable


def cheapest_gone(run: Run, options: Options) -> GeneArray:
    """Networks with fewer and fewer MACs, 1 to 1 - `first_drop`, chosen by repaired sensitivity.

    Each is the greedy plan for its MACs on the curves of repaired loss, see `allocation.greedy`.
    """
    # Imported here: the registry needs none of it.
    from pruneviz.allocation.greedy import Budget, macs_left
    from pruneviz.allocation.group_curves import IMAGES, group_curves
    from pruneviz.criteria import rank
    from pruneviz.repair import Repairer

    graph, seed = run.graph, run.seed_of("start")
    ranking = rank(run.network, graph, run.data, ["fisher"], seed=seed)
    groups = tuple(graph.prunable_groups)
    names = [g.name for g in groups]
    repairer = Repairer(run.network, graph, run.data)
    curves = group_curves(repairer, ranking, "fisher", names, images=options.images or IMAGES)
    rows = []
    for share in np.linspace(0, options.first_drop, options.population).tolist():
        wanted = Budget(graph, 1 - share, groups, macs_left)
        rows.append(curves.plan(wanted).kept[graph.prunable])
    return np.asarray(rows, dtype=np.bool_)


def repaired(graph: ChannelGraph, genes: GeneArray, scores: FloatArray) -> GeneArray:
    """Give every group that would be empty its highest-scoring unit back."""
    kept: BoolArray = np.ones((len(genes), graph.num_units), dtype=bool)
    kept[:, graph.prunable] = genes
    for group in graph.prunable_groups:
        own = slice(group.start, group.start + group.width)
        empty = ~kept[:, own].any(axis=1)
        kept[empty, group.start + int(np.argmax(scores[own]))] = True
    whole: GeneArray = kept[:, graph.prunable]
    return whole


class Judge:
    """Measures chromosomes, each only once."""

    def __init__(self, run: Run, images: int | None) -> None:
        self.graph = run.graph
        self.units = np.flatnonzero(run.graph.prunable)
        self.images = run.data.val if images is None else run.data.val.first(images)
        self.replay = Replay(run.network, run.graph)
        self.known: dict[bytes, tuple[float, float]] = {}

    def plan(self, genes: GeneArray) -> Plan:
        """The plan of a chromosome."""
        return Plan(self.graph, self.units[~genes].tolist())

    def of(self, genes: GeneArray) -> Generation:
        """The fitness of every row."""
        fresh = {row.tobytes(): row for row in genes if row.tobytes() not in self.known}
        plans = [self.plan(row) for row in fresh.values()]
        if plans:
            correct = np.zeros(len(plans))
            for scores in scan(self.replay, self.images, plans):
                correct += [score.correct for score in scores]
            for key, plan, hits in zip(fresh, plans, correct.tolist(), strict=True):
                self.known[key] = (1 - hits / len(self.images), cost(self.graph, plan).macs_ratio)
        return Generation(genes, np.array([self.known[row.tobytes()] for row in genes]))

    def point(self, generation: Generation, index: int) -> FrontPoint:
        """One network of a generation, as events report it."""
        plan = self.plan(generation.genes[index])
        return FrontPoint(
            dropped=plan.by_group(),
            macs=cost(self.graph, plan).macs,
            accuracy=1 - float(generation.fitness[index, 0]),
        )


def chosen(run: Run, points: tuple[FrontPoint, ...]) -> FrontPoint:
    """The most accurate point within the MACs target; if there is none, the cheapest."""
    limit = cost(run.graph).macs * (run.target.macs if run.target.macs is not None else 1.0)
    inside = [p for p in points if p.macs <= limit]
    return max(inside, key=lambda p: (p.accuracy, -p.macs)) if inside else points[0]


STRATEGY = Strategy(
    name="genetic",
    title="Genetic (NSGA-II)",
    help="Evolves a front of networks that trade accuracy against MACs, and fine-tunes one.",
    paper="Reinhold & Roisenberg 2019 (ICAISC), as far as its abstract goes",
    options=Options,
    run=run,
    reaches_target=False,
)

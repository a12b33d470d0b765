"""The evolved front against random search and uniform pruning with as many evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.plan import Plan
from pruneviz.replay import Replay, scan
from pruneviz.strategies import find_strategy, run_strategy
from pruneviz.strategies.budget import by_ratio
from pruneviz.strategies.genetic import Judge, Options, first_genes, repaired
from pruneviz.strategies.run import Run
from pruneviz.studies.papers.setting import Bench, Experiment, finding

SIZE = {"minutes": (16, 12), "hours": (48, 40)}
STARTS = {
    "evolution": "random",
    "evolution from L1": "magnitude",
    "evolution from repaired sensitivity": "repaired",
}


def run(bench: Bench) -> Experiment:
    """Five ways to spend the same number of evaluations on the deciding images.

    The claim is judged by evolution from random networks. What it finds when half of the first
    networks are uniform L1's own, or the greedy plans on repaired sensitivity (whose scan costs
    evaluations of its own), is measured beside it.
    """
    population, generations = SIZE[bench.scale]
    bench.expected = len(bench.seeds)
    evaluations = population * (generations + 1)
    parts = [
        bench.part(f"seed {seed}", _one, bench, seed, population, generations)
        for seed in bench.seeds
    ]
    findings = [
        finding(
            label,
            [p[label]["test"] for p in parts],
            deciding_images=[round(p[label]["val"], 4) for p in parts],
            front_size=[p[label]["front"] for p in parts],
        )
        for label in ("evolution", "random search", "uniform L1", *list(STARTS)[1:])
    ]
    readings = [
        (
            f"hypervolume {findings[0].value:.3f} against {other.value:.3f} of {other.label}",
            findings[0].value > other.value,
        )
        for other in findings[1:3]
    ]
    settings = {
        "population": population,
        "generations": generations,
        "evaluations": evaluations,
        "deciding_images": len(bench.data.val),
    }
    return findings, readings, settings


def _one(bench: Bench, seed: int, population: int, generations: int) -> dict[str, object]:
    model = bench.model()
    graph = bench.graph(model)
    chosen: dict[str, Any] = {
        "epochs": 0,
        "epochs_before": 0,
        "population": population,
        "generations": generations,
        "images": None,
    }
    options = Options(**chosen)
    fronts: dict[str, list[Plan]] = {}
    for done, (label, start) in enumerate(STARTS.items()):
        for event in run_strategy(
            "genetic", model, graph, bench.data, seed=seed, start=start, **chosen
        ):
            bench.tick((done + event.progress) / 5)
            if event.front:
                fronts[label] = [p.plan(graph) for p in event.front]
    # The other two spend as many evaluations with the same judge.
    own = Run(find_strategy("genetic"), model, graph, bench.data, None, seed, options)
    judge = Judge(own, None)
    count = population * (generations + 1)
    random = np.random.default_rng(seed)
    wide = Options(population=count, first_drop=options.first_drop)
    genes = repaired(graph, first_genes(graph, wide, random), own.rank("l2", "s", comparable=False))
    now = judge.of(genes)
    bench.tick(4 / 5)
    fronts["random search"] = [judge.plan(now.genes[i]) for i in now.front()]
    order = by_ratio(graph, own.rank("l1", "u", comparable=False))
    lengths = np.unique(np.linspace(0, len(order), count).astype(int))
    rows = np.ones((len(lengths), int(graph.prunable.sum())), dtype=bool)
    place = np.cumsum(graph.prunable) - 1
    for row, length in zip(rows, lengths, strict=True):
        row[place[order[:length]]] = False
    now = judge.of(rows)
    fronts["uniform L1"] = [judge.plan(now.genes[i]) for i in now.front()]
    replay = Replay(model, graph)
    return {
        label: {
            split: hypervolume(graph, plans, _accuracies(replay, bench, split, plans))
            for split in ("val", "test")
        }
        | {"front": len(plans)}
        for label, plans in fronts.items()
    }


def _accuracies(replay: Replay, bench: Bench, split: str, plans: Sequence[Plan]) -> list[float]:
    correct = np.zeros(len(plans))
    images = bench.data.split(split)
    for scores in scan(replay, images, plans):
        correct += [score.correct for score in scores]
    return [float(c) / len(images) for c in correct]


def hypervolume(graph: ChannelGraph, plans: Sequence[Plan], accuracies: Sequence[float]) -> float:
    """The area of accuracy × MACs saved (fractions) that the plans dominate, 0..1."""
    from pymoo.indicators.hv import HV

    saved = [1 - cost(graph, plan).macs_ratio for plan in plans]
    worst = np.zeros(2)
    return float(HV(ref_point=worst)(-np.column_stack([saved, accuracies])))  # it minimises

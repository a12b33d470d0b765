"""How far pretrained networks and those from scratch can be pruned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pruneviz.lab.bench import Bench, Experiment, finding
from pruneviz.strategies import StudyPoint, run_strategy
from pruneviz.strategies.pretraining import largest_reduction
from pruneviz.strategies.pretraining_study import STARTS

BUDGET = {
    "minutes": {"epochs_before": 8, "epochs": 3, "sparsities": 4, "largest": 0.8},
    "hours": {"epochs_before": 30, "epochs": 10, "sparsities": 9, "largest": 0.9},
}
WITHIN = 0.01


def run(bench: Bench) -> Experiment:
    """Pretrained on CIFAR-10 (on ImageNet, where the data are CIFAR-10 itself), and not at all."""
    options: dict[str, Any] = dict(BUDGET[bench.scale])
    options |= {name: bench.epochs(options[name]) for name in ("epochs_before", "epochs")}
    bench.expected = len(bench.seeds)
    weights = "cifar10" if bench.data.name != "cifar10" else "imagenet"

    def one(seed: int) -> list[dict[str, Any]]:
        model = bench.model(weights)
        graph = bench.graph(model)
        points: tuple[StudyPoint, ...] = ()
        for event in run_strategy(
            "pretraining_study", model, graph, bench.data, seed=seed, **options
        ):
            bench.tick(event.progress)
            points = event.points or points
        return [asdict(p) for p in points]

    runs = [bench.part(f"seed {seed}", one, seed) for seed in bench.seeds]
    found = []
    for start in STARTS:
        curves = [[StudyPoint(**p) for p in run if p["start"] == start] for run in runs]
        reached = [largest_reduction(curve, WITHIN) for curve in curves]
        found.append(
            finding(
                start,
                [r.removed for r in reached],
                test_accuracy=[r.test_accuracy for r in reached],
                baseline_test_accuracy=[c[0].test_accuracy for c in curves],
                curves=[
                    [(round(p.removed, 4), p.accuracy, p.test_accuracy) for p in c] for c in curves
                ],
            )
        )
    pretrained, scratch = found
    readings = [
        (
            f"{pretrained.percent()} of the parameters from pretrained weights against "
            f"{scratch.percent()} from scratch, within 1 point of each one's baseline",
            pretrained.value > scratch.value,
        )
    ]
    return found, readings, {**options, "pretrained_on": weights}

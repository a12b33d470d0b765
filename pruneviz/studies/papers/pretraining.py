"""How far pretrained networks and those from scratch can be pruned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pruneviz.studies.papers.result import Finding
from pruneviz.studies.papers.setting import Bench, Experiment, finding
from pruneviz.studies.pretraining import StudyPoint, largest_reduction
from pruneviz.studies.pretraining_run import STARTS, run_study

BUDGET = {
    "minutes": {"epochs_before": 8, "epochs": 3, "sparsities": 5, "largest": 0.95},
    "hours": {"epochs_before": 30, "epochs": 10, "sparsities": 10, "largest": 0.97},
}
WITHIN = 0.01


def run(bench: Bench) -> Experiment:
    """Pretrained on the request's weights, and not at all.

    Where it names none, they are CIFAR-10's, or ImageNet's where the data are CIFAR-10 itself.
    """
    options: dict[str, Any] = dict(BUDGET[bench.scale])
    options |= {name: bench.epochs(options[name]) for name in ("epochs_before", "epochs")}
    bench.expected = len(bench.seeds)
    weights = bench.weights or ("cifar10" if bench.data.name != "cifar10" else "imagenet")

    def one(seed: int) -> list[dict[str, Any]]:
        model = bench.model(weights)
        graph = bench.graph(model)
        points: tuple[StudyPoint, ...] = ()
        for event in run_study(model, graph, bench.data, seed=seed, **options):
            bench.tick(event.progress)
            points = event.points or points
        return [asdict(p) for p in points]

    runs = [bench.part(f"seed {seed}", one, seed) for seed in bench.seeds]
    findings, readings = judge(runs)
    return findings, readings, {**options, "pretrained_on": weights}


def judge(runs: list[list[dict[str, Any]]]) -> tuple[list[Finding], list[tuple[str, bool]]]:
    """How far each start can be pruned, a run a seed, by both readings of "the baseline".

    Within 1 point of the start's own accuracy before pruning, which a start that never learned
    anything keeps easily; and of the better one's of the two, which is what a user would have.
    """
    curves = {
        start: [[StudyPoint(**p) for p in run if p["start"] == start] for run in runs]
        for start in STARTS
    }
    better = [max(c[0].accuracy for c in seed) for seed in zip(*curves.values(), strict=True)]
    findings = []
    for start in STARTS:
        own = [largest_reduction(curve, WITHIN) for curve in curves[start]]
        fair = [
            largest_reduction(curve, WITHIN, of=accuracy)
            for curve, accuracy in zip(curves[start], better, strict=True)
        ]
        findings.append(
            finding(
                start,
                [p.removed if p else 0.0 for p in own],
                within_better=[p.removed if p else 0.0 for p in fair],
                test_accuracy=[p.test_accuracy for p in own if p],
                baseline_test_accuracy=[c[0].test_accuracy for c in curves[start]],
                curves=[
                    [(round(p.removed, 4), p.accuracy, p.test_accuracy) for p in c]
                    for c in curves[start]
                ],
            )
        )
    pretrained, scratch = findings
    fairly = [finding(f.label, f.detail["within_better"]) for f in findings]
    return findings, [
        (
            f"{pretrained.percent()} of the parameters from pretrained weights against "
            f"{scratch.percent()} from scratch, within 1 point of each one's baseline",
            pretrained.value > scratch.value,
        ),
        (
            f"{fairly[0].percent()} against {fairly[1].percent()}, within 1 point of the better "
            "one's baseline",
            fairly[0].value > fairly[1].value,
        ),
    ]

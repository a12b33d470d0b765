"""Half of the MACs gone by interleaved pruning: by Taylor, at random, and not at all."""

from __future__ import annotations

from typing import Any

from torch import nn

from pruneviz.strategies.taylor import budget
from pruneviz.studies.papers.setting import Bench, Experiment, finding

EPOCHS = {"minutes": 6, "hours": 20}
TRANSFER = {"minutes": 3, "hours": 20}
TARGET = 0.5
LAMBDAS = (0.0, 0.1)
"""Without the FLOPs term, and one that bites: the paper's 1e-3, which "taylor" has, counts next to
nothing at 32 x 32."""


def run(bench: Bench) -> Experiment:
    """The same loop with two criteria, and the control with the same number of passes.

    Weights of other data are transferred first, as in the paper. Without batch norm the learning
    rate is the paper's, 1e-4, throughout.
    """
    epochs = bench.epochs(EPOCHS[bench.scale])
    bench.expected = (3 + len(LAMBDAS)) * len(bench.seeds)
    before = bench.epochs(TRANSFER[bench.scale]) if bench.weights is not None else 0
    loop = {**budget(epochs, len(bench.data.train)), "epochs_before": before}
    control: dict[str, Any] = {"epochs": before + epochs}
    if not any(isinstance(m, nn.BatchNorm2d) for m in bench.model().modules()):
        loop["lr"] = control["lr"] = 1e-4
    arms: dict[str, tuple[str, dict[str, Any], float | None]] = {
        "taylor": ("taylor", loop, TARGET),
        "random": ("taylor", {**loop, "criterion": "random", "flops_lambda": 0.0}, TARGET),
        "control": ("control", control, None),
        **{
            f"taylor, lambda {value:g}": ("taylor", {**loop, "flops_lambda": value}, TARGET)
            for value in LAMBDAS
        },
    }
    findings = []
    for label, (strategy, options, target) in arms.items():
        runs = [
            bench.prune(label, strategy, seed, options, target_macs=target) for seed in bench.seeds
        ]
        findings.append(
            finding(
                label,
                [r["test"] for r in runs],
                macs=[round(r["macs"], 4) for r in runs],
                params=[round(r["params"], 4) for r in runs],
                validation=[r["val"] for r in runs],
                passes=[r["passes"] for r in runs],
            )
        )
    taylor, random, unpruned = findings[:3]
    readings = [
        (
            f"taylor {taylor.percent()} against the control's {unpruned.percent()}: "
            f"{100 * (taylor.value - unpruned.value):+.2f} points",
            taylor.value >= unpruned.value - 0.01,
        ),
        (
            f"taylor {taylor.percent()} against random {random.percent()} at the same MACs: "
            f"{100 * (taylor.value - random.value):+.2f} points",
            taylor.value > random.value,
        ),
    ]
    return findings, readings, {"passes": before + epochs, "target_macs": TARGET, "taylor": loop}

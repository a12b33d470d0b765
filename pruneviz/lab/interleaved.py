"""Half of the MACs gone by interleaved pruning: by Taylor, at random, and not at all."""

from __future__ import annotations

from typing import Any

from pruneviz.lab.bench import Bench, Experiment, finding
from pruneviz.strategies.taylor import budget

EPOCHS = {"minutes": 6, "hours": 20}
TARGET = 0.5


def run(bench: Bench) -> Experiment:
    """The same loop with two criteria, and the control with the same number of passes."""
    epochs = EPOCHS[bench.scale]
    loop = budget(epochs, len(bench.data.train))
    arms: dict[str, tuple[str, dict[str, Any], float | None]] = {
        "taylor": ("taylor", loop, TARGET),
        "random": ("taylor", {**loop, "criterion": "random", "flops_lambda": 0.0}, TARGET),
        "control": ("control", {"epochs": epochs}, None),
    }
    found = []
    for label, (strategy, options, target) in arms.items():
        runs = [
            bench.prune(label, strategy, seed, options, target_macs=target) for seed in bench.seeds
        ]
        found.append(
            finding(
                label,
                [r["test"] for r in runs],
                macs=[round(r["macs"], 4) for r in runs],
                params=[round(r["params"], 4) for r in runs],
                validation=[r["val"] for r in runs],
                passes=[r["passes"] for r in runs],
            )
        )
    taylor, random, control = (f.value for f in found)
    readings = [
        (
            f"taylor {taylor:.2%} against the control's {control:.2%}: "
            f"{100 * (taylor - control):+.2f} points",
            taylor >= control - 0.01,
        ),
        (
            f"taylor {taylor:.2%} against random {random:.2%} at the same MACs: "
            f"{100 * (taylor - random):+.2f} points",
            taylor > random,
        ),
    ]
    return found, readings, {"epochs": epochs, "target_macs": TARGET, **loop}

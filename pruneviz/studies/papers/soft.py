"""Soft filter pruning against the same network trained with the same budget."""

from __future__ import annotations

from typing import Any

from pruneviz.studies.papers.setting import Bench, Experiment, finding

EPOCHS = {"minutes": 6, "hours": 20}
TARGET = 1 - 0.422
RATE = 0.3
EVERY = "30 % of every convolution"


def run(bench: Bench) -> Experiment:
    """From trained weights in minutes; from scratch, as published, and in bfloat16 in hours.

    The paper delivers the network as it is after the last zeroing. That asks for many updates
    between zeroings, which few images do not give; so in minutes the same budget is also spent
    half on soft pruning and half on fine-tuning after the removal, and on uniform pruning. The
    authors' own form zeroes a share of every convolution, soft and (in minutes) fixed to zero; its
    MACs are those with narrow branches. The claim is judged by the first arm at the target.
    """
    epochs = bench.epochs(EPOCHS[bench.scale])
    scratch = bench.scale == "hours"
    lr = 0.1 if scratch else 0.01
    training: dict[str, Any] = {"lr": lr, "mixed_precision": scratch}
    half = max(1, epochs // 2)
    arms: dict[str, tuple[str, dict[str, Any], float | None]] = {
        "soft": ("soft", {"epochs": epochs}, TARGET),
        "soft, then fine-tuned": ("soft", {"epochs": half, "epochs_after": epochs - half}, TARGET),
        "uniform": ("uniform", {"epochs": epochs, "criterion": "l2"}, TARGET),
        "control": ("control", {"epochs": epochs}, None),
        EVERY: ("soft", {"epochs": epochs, "rate": RATE}, None),
        f"{EVERY}, fixed to zero": ("soft", {"epochs": epochs, "rate": RATE, "hard": True}, None),
    }
    if scratch:
        arms = {label: arms[label] for label in ("soft", "control", EVERY)}
    bench.expected = len(arms) * len(bench.seeds)
    findings = []
    for label, (strategy, options, target) in arms.items():
        runs = []
        for seed in bench.seeds:
            model = bench.fresh(seed) if scratch else None
            runs.append(
                bench.prune(
                    label, strategy, seed, {**options, **training}, target_macs=target, model=model
                )
            )
        findings.append(
            finding(label, [r["test"] for r in runs], macs=[round(r["macs"], 4) for r in runs])
        )
    soft, control = (next(f for f in findings if f.label == x) for x in ("soft", "control"))
    readings = [
        (
            f"soft {soft.percent()} against its baseline's {control.percent()}: "
            f"{100 * (soft.value - control.value):+.2f} points",
            soft.value >= control.value - 0.01,
        )
    ]
    settings = {
        "epochs": epochs,
        **training,
        "target_macs": TARGET,
        "start": "scratch" if scratch else "trained weights",
    }
    return findings, readings, settings

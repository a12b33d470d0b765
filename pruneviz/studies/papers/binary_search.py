"""Binary search for the widths against magnitude pruning at equal accuracy and training."""

from __future__ import annotations

from typing import Any

from pruneviz.studies.papers.setting import Bench, Experiment, finding
from pruneviz.training import evaluate

EPOCHS = {"minutes": 3, "hours": 5}
UPDATES = {"minutes": 20, "hours": 200}
TOLERANCE = 0.01
REDUCTIONS = tuple(k / 20 for k in range(2, 20))
RIVALS: dict[str, tuple[str, dict[str, str]]] = {
    "uniform": ("uniform", {}),
    "global l2": ("one_shot", {"ratios": "global"}),
}
"""The same share of every layer, and the lowest l2 norms over all layers (normalised)."""


def run(bench: Bench) -> Experiment:
    """Each rival is taken as far as its validation accuracy holds, in steps of 5 %.

    All trials of a rival together train for as many passes over the images as the search with the
    same seed did, fine-tuning included. What is left of every layer is stored with the result.
    """
    epochs, updates = bench.epochs(EPOCHS[bench.scale]), UPDATES[bench.scale]
    bench.expected = 1 + len(bench.seeds) * (1 + len(RIVALS) * len(REDUCTIONS).bit_length())
    original = bench.part("original", _measure, bench)
    runs: dict[str, list[dict[str, Any]]] = {"binary search": [], **{name: [] for name in RIVALS}}
    for seed in bench.seeds:
        options = {"epochs": epochs, "updates": updates, "tolerance": TOLERANCE}
        search = bench.prune("binary search", "binary_search", seed, options)
        runs["binary search"].append(search)
        for name in RIVALS:
            runs[name].append(_furthest(bench, name, seed, share_of(search["passes"]), original))
    findings = [
        finding(
            label,
            [1 - r["params"] for r in own],
            accuracy=[r["test"] for r in own],
            macs=[round(r["macs"], 4) for r in own],
            passes=[r["passes"] for r in own],
            widths=[r["widths"] for r in own],
        )
        for label, own in runs.items()
    ]
    accuracy = sum(r["test"] for r in runs["binary search"]) / len(bench.seeds)
    first = findings[0]
    readings = [
        (
            f"binary search {accuracy:.2%} against the original's {original['test']:.2%}, "
            f"tolerance {TOLERANCE:.0%}",
            accuracy >= original["test"] - TOLERANCE,
        ),
        *(
            (
                f"{first.percent()} of the parameters removed against {rival.percent()} by "
                f"{rival.label} pruning within the same tolerance",
                first.value > rival.value,
            )
            for rival in findings[1:]
        ),
    ]
    settings = {"epochs": epochs, "updates": updates, "tolerance": TOLERANCE, "original": original}
    return findings, readings, settings


def share_of(passes: float) -> int:
    """Epochs of one trial of a bisection, so that all of them train for so many passes."""
    return max(1, round(passes / len(REDUCTIONS).bit_length()))


def _measure(bench: Bench) -> dict[str, float]:
    model = bench.model()
    return {s: evaluate(model, bench.data, split=s).accuracy for s in ("val", "test")}


def _furthest(
    bench: Bench, rival: str, seed: int, epochs: int, original: dict[str, float]
) -> dict[str, Any]:
    """The furthest pruning by a rival whose validation accuracy holds, found by bisection."""
    strategy, own = RIVALS[rival]
    best: dict[str, Any] = {"params": 1.0, "macs": 1.0, "widths": {}, **original}
    passes = 0.0
    low, high = 0, len(REDUCTIONS)  # as many reductions hold, at least and at most
    while low < high:
        count = (low + high + 1) // 2
        removed = REDUCTIONS[count - 1]
        target = round(1 - removed, 3)
        options = {"epochs": epochs, "criterion": "l2", "target_params": target, **own}
        run = bench.prune(f"{rival} {removed:.0%}", strategy, seed, options)
        passes += run["passes"]
        if run["val"] < original["val"] - TOLERANCE:
            high = count - 1
        else:
            low, best = count, run
    return {**best, "passes": round(passes, 3)}

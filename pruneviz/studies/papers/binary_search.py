"""Binary search for the widths against uniform magnitude pruning at equal accuracy."""

from __future__ import annotations

from typing import Any

from pruneviz.studies.papers.setting import Bench, Experiment, finding
from pruneviz.training import evaluate

EPOCHS = {"minutes": 3, "hours": 5}
UPDATES = {"minutes": 20, "hours": 200}
TOLERANCE = 0.01
REDUCTIONS = tuple(k / 20 for k in range(2, 20))


def run(bench: Bench) -> Experiment:
    """Uniform pruning is taken as far as its validation accuracy holds, in steps of 5 %.

    All its trials together train for as many passes over the images as the search with the same
    seed did, fine-tuning included. What is left of every layer is stored with the result.
    """
    epochs, updates = bench.epochs(EPOCHS[bench.scale]), UPDATES[bench.scale]
    bench.expected = 1 + len(bench.seeds) * (1 + len(REDUCTIONS).bit_length())
    original = bench.part("original", _measure, bench)
    found_by, uniform_by = [], []
    for seed in bench.seeds:
        options = {"epochs": epochs, "updates": updates, "tolerance": TOLERANCE}
        found_by.append(bench.prune("binary search", "binary_search", seed, options))
        uniform_by.append(_uniform(bench, seed, share_of(found_by[-1]["passes"]), original))
    search, uniform = (
        finding(
            label,
            [1 - r["params"] for r in runs],
            accuracy=[r["test"] for r in runs],
            macs=[round(r["macs"], 4) for r in runs],
            passes=[r["passes"] for r in runs],
            widths=[r["widths"] for r in runs],
        )
        for label, runs in (("binary search", found_by), ("uniform", uniform_by))
    )
    accuracy = sum(r["test"] for r in found_by) / len(found_by)
    readings = [
        (
            f"binary search {accuracy:.2%} against the original's {original['test']:.2%}, "
            f"tolerance {TOLERANCE:.0%}",
            accuracy >= original["test"] - TOLERANCE,
        ),
        (
            f"{search.percent()} of the parameters removed against {uniform.percent()} by uniform "
            "pruning within the same tolerance",
            search.value > uniform.value,
        ),
    ]
    settings = {"epochs": epochs, "updates": updates, "tolerance": TOLERANCE, "original": original}
    return [search, uniform], readings, settings


def share_of(passes: float) -> int:
    """Epochs of one trial of a bisection, so that all of them train for so many passes."""
    return max(1, round(passes / len(REDUCTIONS).bit_length()))


def _measure(bench: Bench) -> dict[str, float]:
    model = bench.model()
    return {s: evaluate(model, bench.data, split=s).accuracy for s in ("val", "test")}


def _uniform(bench: Bench, seed: int, epochs: int, original: dict[str, float]) -> dict[str, Any]:
    """The furthest uniform pruning whose validation accuracy holds, found by bisection."""
    best: dict[str, Any] = {"params": 1.0, "macs": 1.0, "widths": {}, **original}
    passes = 0.0
    low, high = 0, len(REDUCTIONS)  # as many reductions hold, at least and at most
    while low < high:
        count = (low + high + 1) // 2
        removed = REDUCTIONS[count - 1]
        options = {"epochs": epochs, "criterion": "l2", "target_params": round(1 - removed, 3)}
        run = bench.prune(f"uniform {removed:.0%}", "uniform", seed, options)
        passes += run["passes"]
        if run["val"] < original["val"] - TOLERANCE:
            high = count - 1
        else:
            low, best = count, run
    return {**best, "passes": round(passes, 3)}

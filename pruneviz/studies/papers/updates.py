"""Interleaved Taylor pruning with few and with many updates between removals."""

from __future__ import annotations

import time
from typing import Any

from pruneviz.studies.papers.setting import Bench, Experiment, finding

UPDATES = {"minutes": (10, 30, 100), "hours": (10, 30, 100, 1000)}
TARGET = 0.5
REMOVALS = 15


def run(bench: Bench) -> Experiment:
    """The network as it is after the last removal, with nothing after it."""
    counts = UPDATES[bench.scale]
    bench.expected = len(counts) * len(bench.seeds)
    findings = []
    for count in counts:
        options: dict[str, Any] = {
            "updates": count, "iterations": REMOVALS, "epochs": 0, "epochs_before": 0
        }  # fmt: skip
        runs = []
        for seed in bench.seeds:
            begun = time.perf_counter()
            run = bench.prune(f"{count} updates", "taylor", seed, options, target_macs=TARGET)
            took = bench.part(f"{count} updates, seed {seed}, took", _since, begun)
            runs.append({**run, "seconds": took})
        findings.append(
            finding(
                f"{count} updates",
                [r["test"] for r in runs],
                macs=[round(r["macs"], 4) for r in runs],
                passes=[r["passes"] for r in runs],
                seconds=[r["seconds"] for r in runs],
            )
        )
    most = findings[-1]
    readings = [
        (
            f"{most.label} {most.percent()} against {fewer.percent()} with {fewer.label}",
            most.value > fewer.value,
        )
        for fewer in findings[:-1]
    ]
    return findings, readings, {"target_macs": TARGET, "removals": REMOVALS}


def _since(begun: float) -> float:
    return round(time.perf_counter() - begun, 1)

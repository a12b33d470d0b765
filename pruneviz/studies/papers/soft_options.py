"""The comparisons of the soft filter pruning paper: rates, norm, interval, start, hard, uniform."""

from __future__ import annotations

from typing import Any

from pruneviz.studies.papers.setting import Bench, Experiment, finding

EPOCHS = {"minutes": 6, "hours": 20}
RATE = 0.3
RATES = (0.1, 0.2, RATE, 0.4, 0.5)
INTERVALS = (2, 3)
SOFT, HARD, UNIFORM = f"soft, {RATE:.0%}", f"hard, {RATE:.0%}", "uniform, same MACs"


def run(bench: Bench) -> Experiment:
    """All arms are the authors' form, a rate of every convolution, at the same budget."""
    epochs = bench.epochs(EPOCHS[bench.scale])
    arms: dict[str, dict[str, Any]] = {f"soft, {rate:.0%}": {"rate": rate} for rate in RATES}
    arms[HARD] = {"rate": RATE, "hard": True}
    arms[f"{SOFT}, l1 norm"] = {"rate": RATE, "norm": "l1"}
    arms |= {f"{SOFT}, every {k} epochs": {"rate": RATE, "every": k} for k in INTERVALS}
    arms[f"{SOFT}, from scratch"] = {"rate": RATE, "from_scratch": True, "lr": 0.1}
    bench.expected = (len(arms) + 1) * len(bench.seeds)
    rows: dict[str, list[dict[str, Any]]] = {
        label: [
            bench.prune(label, "soft", seed, {"epochs": epochs, "lr": 0.01, **options})
            for seed in bench.seeds
        ]
        for label, options in arms.items()
    }
    rows[UNIFORM] = [
        bench.prune(
            UNIFORM,
            "uniform",
            seed,
            {"epochs": epochs, "criterion": "l2", "lr": 0.01},
            target_macs=soft["macs"],
        )
        for seed, soft in zip(bench.seeds, rows[SOFT], strict=True)
    ]
    findings = {
        label: finding(label, [r["test"] for r in runs], macs=[round(r["macs"], 4) for r in runs])
        for label, runs in rows.items()
    }
    soft = findings[SOFT]
    readings = [
        (
            f"{SOFT}: {soft.percent()} against {findings[rival].percent()} of {rival}",
            soft.value > findings[rival].value,
        )
        for rival in (HARD, UNIFORM)
    ]
    return list(findings.values()), readings, {"epochs": epochs, "lr": 0.01}

"""Half of the MACs gone by evolution, with transfer and fine-tuning, against Taylor and Li."""

from __future__ import annotations

from typing import Any

from pruneviz.strategies.taylor import budget
from pruneviz.studies.papers.setting import Bench, Experiment, finding

EPOCHS = {"minutes": 6, "hours": 20}
SIZE = {"minutes": (12, 8), "hours": (48, 40)}
TARGET = 0.5
JUDGED, CONTROL, RIVALS = "evolution", "control", ("taylor", "one shot, l1 (Li)")


def run(bench: Bench) -> Experiment:
    """Every arm trains for as many epochs: what comes before the pruning counts, too."""
    epochs = bench.epochs(EPOCHS[bench.scale])
    before = epochs // 3 if bench.weights is not None else max(1, epochs // 6)
    after = {"epochs": epochs - before}
    population, generations = SIZE[bench.scale]
    evolve: dict[str, Any] = {
        **after,
        "epochs_before": before,
        "population": population,
        "generations": generations,
        "images": None,
    }
    loop = {**budget(epochs - before, len(bench.data.train)), "epochs_before": before}
    arms: dict[str, tuple[str, dict[str, Any], float | None]] = {
        JUDGED: ("genetic", evolve, TARGET),
        "evolution from repaired sensitivity": ("genetic", {**evolve, "start": "repaired"}, TARGET),
        RIVALS[0]: ("taylor", loop, TARGET),
        RIVALS[1]: ("one_shot", {"epochs": epochs}, TARGET),
        CONTROL: ("control", {"epochs": epochs}, None),
    }
    bench.expected = len(arms) * len(bench.seeds)
    findings = {}
    for label, (strategy, options, target) in arms.items():
        runs = [
            bench.prune(label, strategy, seed, options, target_macs=target) for seed in bench.seeds
        ]
        findings[label] = finding(
            label,
            [r["test"] for r in runs],
            macs=[round(r["macs"], 4) for r in runs],
            params=[round(r["params"], 4) for r in runs],
            passes=[r["passes"] for r in runs],
        )
    evolved, control = findings[JUDGED], findings[CONTROL]
    readings = [
        (
            f"evolution {evolved.percent()} against the control's {control.percent()}: "
            f"{100 * (evolved.value - control.value):+.2f} points",
            evolved.value >= control.value - 0.01,
        ),
        *(
            (
                f"evolution {evolved.percent()} against {findings[name].percent()} of {name}",
                evolved.value >= findings[name].value,
            )
            for name in RIVALS
        ),
    ]
    settings = {"epochs": epochs, "before": before, "target_macs": TARGET, "evolution": evolve}
    return list(findings.values()), readings, settings

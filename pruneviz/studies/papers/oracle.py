"""How well each criterion agrees with the oracle."""

from __future__ import annotations

import math

from pruneviz.criteria import applicable, rank
from pruneviz.studies.papers.setting import Bench, Experiment, finding

IMAGES = {"minutes": 128, "hours": 2048}
TAYLOR = ("taylor_image", "taylor")
"""The paper's, with the absolute value taken for each image, and of the mean over the images."""
RIVALS = ("l1", "l2", "mean_activation")


def run(bench: Bench) -> Experiment:
    """Spearman of every criterion against the oracle, over all layers and by layer."""
    model = bench.model()
    graph = bench.graph(model)
    names = [name for name in applicable(model, graph) if name != "oracle"]
    images = IMAGES[bench.scale]
    bench.expected = len(bench.seeds)

    def one(seed: int) -> dict[str, dict[str, object]]:
        ranking = rank(
            model,
            graph,
            bench.data,
            ["oracle", *names],
            images=images,
            seed=seed,
            progress=lambda done, total: bench.tick(done / total),
        )
        return {
            name: {
                "all": ranking.correlation(name, "oracle"),
                "layers": _finite(ranking.correlation(name, "oracle", per="group")),
            }
            for name in names
        }

    seen = [bench.part(f"seed {seed}", one, seed) for seed in bench.seeds]
    findings = []
    for name in names:
        if not all(math.isfinite(x[name]["all"]) for x in seen):
            continue  # it says the same of every unit, as batch-norm scales do where there are none
        layers = [found_[name]["layers"] for found_ in seen]
        means = {
            layer: round(sum(x[layer] for x in layers) / len(layers), 3)
            for layer in layers[0]
            if all(layer in x for x in layers)
        }
        findings.append(
            finding(
                name,
                [x[name]["all"] for x in seen],
                by_layer=means,
                mean_over_layers=round(sum(means.values()) / max(len(means), 1), 3),
            )
        )
    by_name = {f.label: f for f in findings}
    readings = [
        (
            f"{taylor} {by_name[taylor].value:.2f} against "
            + ", ".join(f"{rival} {by_name[rival].value:.2f}" for rival in RIVALS)
            + ", over all layers",
            all(by_name[taylor].value > by_name[rival].value for rival in RIVALS),
        )
        for taylor in TAYLOR
    ]
    findings.sort(key=lambda f: -f.value)
    return findings, readings, {"images": images, "units": int(graph.prunable.sum())}


def _finite(by_layer: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in by_layer.items() if math.isfinite(value)}

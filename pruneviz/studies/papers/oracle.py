"""How well each criterion agrees with the oracle, and what pruning by it leaves of the accuracy."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.criteria import Ranking, applicable, rank
from pruneviz.criteria.agreement import spearman
from pruneviz.criteria.run import balanced
from pruneviz.plan import Plan
from pruneviz.replay import Replay, oracle, scan
from pruneviz.strategies.budget import by_score
from pruneviz.studies.papers.setting import Bench, Experiment, finding

IMAGES = {"minutes": 128, "hours": 2048}
TAYLOR = ("taylor_image", "taylor")
"""The paper's, with the absolute value taken for each image, and of the mean over the images."""
RIVALS = ("l1", "l2", "mean_activation", "std_activation", "mutual_information")
SHARES = tuple(k / 10 for k in range(1, 10))
"""Of the units, the lowest over all layers, removed to see what is left of the accuracy."""
CURVES = {"minutes": 1000, "hours": 10_000}
"""Held-out images, at most, on which these accuracies are measured: some hundred plans each."""


def run(bench: Bench) -> Experiment:
    """Spearman of every criterion against the oracle, over all layers and by layer.

    The oracle is the absolute change of the loss; beside it stand the correlation with the signed
    change, that of the raw scores (without the l2 norm of each group), and the mean accuracy on
    held-out images over the curve of pruning by the criterion at once, without any training.
    """
    model = bench.model()
    graph = bench.graph(model)
    names = [name for name in applicable(model, graph) if name != "oracle"]
    images = IMAGES[bench.scale]
    bench.expected = len(bench.seeds)
    parts = [
        bench.part(f"seed {seed}", _one, bench, model, graph, names, images, seed)
        for seed in bench.seeds
    ]
    findings = [_finding(name, [part[name] for part in parts]) for name in names]
    # One that says the same of every unit, as batch-norm scales do where there are none, is out.
    findings = [f for f in findings if math.isfinite(f.value)]
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


def _finding(name: str, seeds: list[dict[str, Any]]) -> Any:
    """The means over the seeds."""
    layers = [seed["layers"] for seed in seeds]
    means = {
        layer: round(fmean(own[layer] for own in layers), 3)
        for layer in layers[0]
        if all(layer in own for own in layers)
    }
    return finding(
        name,
        [seed["all"] for seed in seeds],
        raw=[seed["raw"] for seed in seeds],
        signed_oracle=[seed["signed"] for seed in seeds],
        pruned_accuracy=[fmean(seed["pruned"]) for seed in seeds],
        pruned=[round(fmean(at), 4) for at in zip(*(s["pruned"] for s in seeds), strict=True)],
        by_layer=means,
        mean_over_layers=round(sum(means.values()) / max(len(means), 1), 3),
    )


def _one(
    bench: Bench, model: nn.Module, graph: ChannelGraph, names: list[str], images: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Every criterion's agreement with the oracle on one sample of training images."""

    def tick(done: int, total: int) -> None:
        bench.tick(0.6 * done / total)

    ranking = rank(model, graph, bench.data, names, images=images, seed=seed, progress=tick)
    change = _change(bench, model, graph, images, seed)
    ranking = Ranking(graph, {**ranking.scores, "oracle": np.abs(change)}, images)
    units = np.flatnonzero(graph.prunable)
    agreement: dict[str, dict[str, Any]] = {}
    for name in names:
        raw, even = ranking.of(name)[units], ranking.comparable(name)[units]
        agreement[name] = {
            "all": ranking.correlation(name, "oracle"),
            "raw": spearman(raw, np.abs(change)[units]),
            "signed": spearman(even, change[units]),
            "layers": _finite(ranking.correlation(name, "oracle", per="group")),
            "pruned": _pruned(bench, model, graph, ranking.comparable(name)),
        }
    return agreement


def _change(
    bench: Bench, model: nn.Module, graph: ChannelGraph, images: int, seed: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(num_units,) the loss without each unit less the loss, on the images that criteria see."""
    train = bench.data.train
    seen = train.subset(torch.from_numpy(balanced(train.labels.cpu().numpy(), images, seed)))
    last = None
    for last in oracle(model, graph, _Sample(seen), images=None):
        bench.tick(0.6 + 0.3 * last.images / last.total)
    assert last is not None
    return last.scores("loss")


class _Sample:
    """The images that criteria see, where a data set is expected."""

    def __init__(self, images: Any) -> None:
        self._images = images

    def split(self, _name: str) -> Any:
        return self._images


def _pruned(bench: Bench, model: nn.Module, graph: ChannelGraph, scores: Any) -> list[float]:
    """Accuracy on held-out images without each share of the lowest units."""
    order = by_score(graph, scores)
    count = int(graph.prunable.sum())
    plans = [Plan(graph, order[: round(share * count)].tolist()) for share in SHARES]
    held_out = bench.data.split("test")
    if len(held_out) > CURVES[bench.scale]:
        some = balanced(held_out.labels.cpu().numpy(), CURVES[bench.scale], 0)
        held_out = held_out.subset(torch.from_numpy(some))
    correct = np.zeros(len(plans))
    for judged in scan(Replay(model, graph), held_out, plans):
        correct += [one.correct for one in judged]
    return [round(float(c) / len(held_out), 4) for c in correct]


def _finite(by_layer: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in by_layer.items() if math.isfinite(value)}

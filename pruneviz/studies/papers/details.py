"""What lies behind a result's means, in the terms of the figures. No torch here."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from pruneviz.figures.lab import LayersInfo
from pruneviz.figures.pretraining import PretrainingInfo, StudyCurve

if TYPE_CHECKING:
    from pruneviz.studies.papers.result import LabResult


def layers_of(result: LabResult) -> LayersInfo:
    """The agreement of every criterion with the oracle, layer by layer."""
    by_layer = {f.label: dict(f.detail["by_layer"]) for f in result.findings}
    layers = tuple(dict.fromkeys(name for found in by_layer.values() for name in found))
    return LayersInfo(
        title="",
        criteria=tuple(by_layer),
        layers=layers,
        correlation=tuple(tuple(found.get(n) for n in layers) for found in by_layer.values()),
    )


def study_of(result: LabResult) -> PretrainingInfo:
    """Accuracy on held-out images against the parameters removed, mean and spread over seeds."""
    curves = []
    for found in result.findings:
        points = list(zip(*found.detail["curves"], strict=False))  # the seeds of each reduction
        tested = [[p[2] for p in seeds] for seeds in points]
        curves.append(
            StudyCurve(
                panel=f"{result.network} on {result.data}",
                start=found.label,
                removed=tuple(statistics.fmean(p[0] for p in seeds) for seeds in points),
                accuracy=tuple(statistics.fmean(t) for t in tested),
                spread=tuple(statistics.stdev(t) if len(t) > 1 else 0.0 for t in tested),
                seeds=len(found.seeds),
            )
        )
    return PretrainingInfo("held-out images", tuple(curves))

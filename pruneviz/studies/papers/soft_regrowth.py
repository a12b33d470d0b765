"""What becomes of filters that soft pruning has just zeroed: their norms, and their outputs.

A batch norm divides by its input's deviation. So a zeroed filter gives its norm's offset at first,
and after one update, however small, all of its former output again, if a gradient reaches it at
all; where the offset is negative and a ReLU follows, none does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.data import DataSet
from pruneviz.strategies.branches import convolutions, norms_after
from pruneviz.strategies.soft_rate import smallest, zero_rows
from pruneviz.strategies.updates import BatchStream, sgd, update
from pruneviz.studies.papers.setting import Bench, Experiment, finding
from pruneviz.training import evaluate

RATE = 0.3
MARKS = (0, 1, 2, 5, 10, 20, 50, 100)
"""Updates after the zeroing at which is measured."""
ARMS: Mapping[str, Mapping[str, Any]] = {
    "as in the paper": {},
    "a tenth of the learning rate": {"lr": 0.001},
    "without momentum": {"momentum": 0.0},
    "the norms' channels zeroed, too": {"norms": True},
}
BACK = 0.5
"""A filter is back that gives at least this share of its former output's deviation."""
SAME = 0.05
"""Shares of filters that differ by less are called the same."""
BATCH = 128


def run(bench: Bench) -> Experiment:
    """All arms zero the same filters of the same trained network."""
    bench.expected = len(ARMS) * len(bench.seeds)
    findings = []
    for name, options in ARMS.items():
        runs = [
            bench.part(f"{name}, seed {seed}", regrow, bench.model(), bench.data, seed, options)
            for seed in bench.seeds
        ]
        curves = {key: _mean([r[key] for r in runs]) for key in ("norms", "back", "accuracy")}
        findings.append(
            finding(
                name,
                [r["back"][MARKS.index(1)] for r in runs],
                norm=[r["norms"][MARKS.index(1)] for r in runs],
                negative=[r["negative"] for r in runs],
                marks=list(MARKS),
                **curves,
            )
        )
    paper = findings[0].detail
    first, last = paper["back"][MARKS.index(1)], paper["back"][-1]
    norm = paper["norms"][MARKS.index(1)]
    readings = [
        (
            f"After one update {first:.0%} of the zeroed filters give {BACK:.0%} of their former "
            f"output or more; all together have {norm:.0%} of their norm",
            first > norm,
        ),
        (
            f"After {MARKS[-1]} updates {last:.0%} do: the others stay silent",
            abs(last - first) <= SAME and last <= 1 - SAME,
        ),
    ]
    return findings, readings, {"rate": RATE, "batch": BATCH}


def regrow(
    model: nn.Module, data: DataSet, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Zero filters, train, and measure at every mark.

    `norms`: mean of ‖F‖ / ‖F before‖ over the zeroed filters. `back`: share of them that are
    back. `accuracy`: on validation images. `negative`: share of negative offsets among the filters
    that are not back at the end.
    """
    norms = norms_after(model, data.input_shape)
    rows = {n: r for n, r in smallest(model, RATE, 2).items() if r and n in norms}
    images, _ = next(data.train.batches(BATCH, shuffle_seed=seed))
    sizes, outputs = _norms(model, rows), _deviations(model, rows, norms, images)
    for name, own in rows.items():
        zero_rows(model.get_submodule(name), own)
        if options.get("norms"):
            zero_rows(model.get_submodule(norms[name]), own)
    optimizer = sgd(model, options.get("lr", 0.01), options.get("momentum", 0.9), 5e-4, {})
    batches = BatchStream(data, BATCH, seed, images.device)
    measured: dict[str, Any] = {"norms": [], "back": [], "accuracy": []}
    for done in range(MARKS[-1] + 1):
        if done in MARKS:
            back = _deviations(model, rows, norms, images) >= BACK * outputs
            measured["norms"].append(float((_norms(model, rows) / sizes).mean()))
            measured["back"].append(float(back.float().mean()))
            measured["accuracy"].append(evaluate(model, data).accuracy)
        if done < MARKS[-1]:
            update(model, optimizer, *batches.next(), seed=done)
    parameters = dict(model.named_parameters())
    offsets = torch.cat([parameters[f"{norms[n]}.bias"].detach()[r] for n, r in rows.items()])
    silent = offsets[~back]
    measured["negative"] = float((silent < 0).float().mean()) if len(silent) else 0.0
    return measured


def _norms(model: nn.Module, rows: Mapping[str, list[int]]) -> Tensor:
    layers = convolutions(model)
    weights = [layers[name].weight.detach()[own] for name, own in rows.items()]
    return torch.cat([w.flatten(1).norm(dim=1) for w in weights])


@torch.no_grad()
def _deviations(
    model: nn.Module, rows: Mapping[str, list[int]], norms: Mapping[str, str], images: Tensor
) -> Tensor:
    """Deviation of each filter's channel behind its norm, over images and positions, in training.

    A copy is looked at: the norms' running averages stay what they were.
    """
    network, seen = copy.deepcopy(model).train(), {}
    for name in rows:

        def see(module: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
            seen[name] = output.std((0, 2, 3))[rows[name]]

        network.get_submodule(norms[name]).register_forward_hook(see)
    network(images)
    return torch.cat([seen[name] for name in rows])


def _mean(curves: list[list[float]]) -> list[float]:
    """The mean over seeds at every mark."""
    return [sum(values) / len(values) for values in zip(*curves, strict=True)]

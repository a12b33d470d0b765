"""All data-driven criteria at once, against one training pass and against one pass a criterion.

``python -m tests.benchmarks.bench_criteria`` prints, for each bundled network, how long
`pruneviz.rank` takes for all criteria that need data (conductance and the oracle aside) beside

- one forward and backward pass over the same images, as in training (batch norm in eval mode);
- one pass a criterion, as one would write it with hooks: keep the feature maps, read them after
  the pass. Both give the same scores, which is checked before anything is timed.

Batch sizes and images are the same everywhere. Ratios are what counts.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.criteria.registry import registered
from pruneviz.criteria.run import balanced
from pruneviz.data import DataSet, ImageSet
from tests.benchmarks.side_by_side import Timing, side_by_side
from tests.criteria.reference import Maps, cifar_maps, inner_layers, run_with_maps

CRITERIA = [name for name, c in registered().items() if c.gathers]  # those of the shared pass
BATCH = 64

BY_FILTER = ("mean_activation", "std_activation", "apoz")
BY_UNIT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "taylor": lambda terms, sizes: terms.mean(0).abs() / sizes,
    "taylor_image": lambda terms, sizes: terms.abs().mean(0) / sizes,
    "taylor_loss": lambda terms, _sizes: terms.mean(0).abs(),
    "fisher": lambda terms, _sizes: (terms**2).mean(0) / 2,
}


class Case:
    """A bundled network with its digits weights, and some images."""

    def __init__(self, name: str, count: int) -> None:
        self.model = pv.load_model(name, weights="digits")
        self.graph = pv.trace(self.model, (3, 32, 32))
        self.maps = cifar_maps(self.model, name)
        self.inner = inner_layers(self.model, name)
        train = pv.load_dataset("digits").train
        images = train.subset(torch.from_numpy(balanced(train.labels.numpy(), count, 0)))
        classes = tuple(map(str, range(10)))
        self.data = DataSet(name, images, images, None, classes, (3, 32, 32), {})

    def rank(self, *names: str) -> pv.Ranking:
        """Everything in one pass."""
        count = len(self.data.train)
        return pv.rank(self.model, self.graph, self.data, names, images=count, batch_size=BATCH)

    def train_pass(self) -> None:
        """Go forward and backward once over the images."""
        model = copy.deepcopy(self.model).eval().requires_grad_(True)
        for x, labels in self.data.train.batches(BATCH):
            F.cross_entropy(model(x), labels).backward()
            model.zero_grad()

    def plain(self, name: str) -> np.ndarray:
        """One criterion (num_units,), as one would write it with hooks."""
        return plain_scores(self.model, self.graph, self.maps, self.inner, self.data.train, name)


def plain_scores(
    model: nn.Module,
    graph: ChannelGraph,
    maps: Maps,
    inner: list[str],
    images: ImageSet,
    name: str,
) -> np.ndarray:
    """One criterion by hooks: keep every feature map of a mini-batch, read them after it."""
    model = copy.deepcopy(model).eval().requires_grad_(name == "taylor_weight")
    needs_gradient = name in BY_UNIT
    if needs_gradient:
        maps = {layer: places for layer, places in maps.items() if layer not in inner}
    scores = torch.zeros(graph.num_units, dtype=torch.float64)
    terms: list[Tensor] = []
    sums: dict[str, Tensor] = {}
    for x, labels in images.batches(BATCH):
        x.requires_grad_(needs_gradient)
        with torch.set_grad_enabled(needs_gradient or name == "taylor_weight"):
            logits, found = run_with_maps(model, maps, x)
            if needs_gradient:
                for map in (m for ms in found.values() for m in ms):
                    map.retain_grad()
            if needs_gradient or name == "taylor_weight":
                F.cross_entropy(logits, labels, reduction="sum").backward()
        with torch.no_grad():
            if needs_gradient:
                batch = torch.zeros(len(x), graph.num_units, dtype=torch.float64)
                for layer, ms in found.items():
                    units = torch.tensor(graph.layer(layer).units)
                    for map in ms:
                        term = map * map.grad
                        term = term.flatten(2).sum(2) if term.ndim > 2 else term
                        batch.index_add_(1, units, term.double())
                terms.append(batch)
            elif name in BY_FILTER:
                for layer, (map,) in found.items():
                    value = map.flatten(2) if map.ndim > 2 else map[..., None]
                    add_up(sums, layer, name, value)
    if needs_gradient:
        sizes = torch.zeros(graph.num_units, dtype=torch.float64)
        for layer in (graph.layer(name) for name in maps):
            own = torch.full((layer.out_channels,), float(layer.positions), dtype=torch.float64)
            sizes.index_add_(0, torch.tensor(layer.units), own)
        return BY_UNIT[name](torch.cat(terms), sizes).numpy()
    if name == "taylor_weight":
        for layer in graph.layers:
            weight = model.get_parameter(layer.weight)
            term = (weight * weight.grad).detach().double().flatten(1).sum(1) / len(images)
            scores.index_add_(0, torch.tensor(layer.units), term)
        return (scores**2).numpy()
    count = torch.zeros(graph.num_units, dtype=torch.float64)
    for layer in graph.layers:
        units = torch.tensor(layer.units)
        scores.index_add_(0, units, finish(sums[layer.name], name, len(images) * layer.positions))
        count.index_add_(0, units, torch.ones(layer.out_channels, dtype=torch.float64))
    return (scores / count.clamp_min(1)).numpy()


def add_up(sums: dict[str, Tensor], layer: str, name: str, map: Tensor) -> None:
    """Add a mini-batch's part of what a criterion of activations needs."""
    if name == "mean_activation":
        part = map.abs().sum((0, 2)).double()
    elif name == "apoz":
        part = (map > 0).sum((0, 2)).double()
    else:
        part = torch.stack([map.sum((0, 2)).double(), (map**2).sum((0, 2)).double()])
    sums[layer] = sums[layer] + part if layer in sums else part


def finish(total: Tensor, name: str, count: int) -> Tensor:
    """From sums to the criterion of activations."""
    if name != "std_activation":
        return total / count
    return (total[1] / count - (total[0] / count) ** 2).clamp_min(0).sqrt()


def check(case: Case) -> None:
    """Both ways must give the same scores."""
    found = case.rank(*CRITERIA)
    for name in CRITERIA:
        expected = case.plain(name)[case.graph.prunable]
        scores = found.of(name)[case.graph.prunable]
        np.testing.assert_allclose(
            scores, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(), err_msg=name
        )


def measure(case: Case, rounds: int) -> Timing:
    """Time everything side by side."""
    return side_by_side(
        {
            "one forward and backward pass": case.train_pass,
            "rank(), all criteria": lambda: case.rank(*CRITERIA),
            "rank(), 'taylor' alone": lambda: case.rank("taylor"),
            "rank(), one criterion after another": lambda: [case.rank(n) for n in CRITERIA],
            "hooks, one pass a criterion": lambda: [case.plain(n) for n in CRITERIA],
        },
        rounds=rounds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["resnet20", "vgg16", "mobilenet_v2"])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{len(CRITERIA)} criteria: {', '.join(CRITERIA)}")
    for name in arguments.networks:
        case = Case(name, arguments.images)
        check(case)
        timing = measure(case, arguments.rounds)
        base = timing.seconds
        print(f"\n{name}, {arguments.images} images, {arguments.threads} thread(s)")
        for way, seconds in base.items():
            print(f"  {way:38s} {seconds:8.2f} s   {1 / timing.ratios[way]:5.2f} passes")
        together = timing.ratios["rank(), all criteria"]
        for way in ("rank(), one criterion after another", "hooks, one pass a criterion"):
            print(f"  all together is {together / timing.ratios[way]:.1f} times faster than {way}")


if __name__ == "__main__":
    main()

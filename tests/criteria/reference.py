"""The slow way to every criterion, written from the formulas: one image at a time, all maps kept.

A network to be scored says where its feature maps are: `maps` gives, for each layer, the modules
whose input or output they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan
from pruneviz.surgery import mask

Maps = Mapping[str, list[tuple[str, str]]]
"""Layer -> [("in" or "out", module)], one for each time that the layer runs."""


def cifar_maps(model: nn.Module, name: str) -> Maps:
    """Where the bundled networks' maps are."""
    maps: dict[str, list[tuple[str, str]]] = {}
    if name == "resnet20":
        maps["conv1"] = [("in", "layer1")]
        for stage in (1, 2, 3):
            for block in range(3):
                path = f"layer{stage}.{block}"
                maps[f"{path}.conv1"] = [("in", f"{path}.conv2")]
                maps[f"{path}.conv2"] = [("out", f"{path}.bn2")]
        return maps | {"linear": [("out", "linear")]}
    leaves = [(n, m) for n, m in model.named_modules() if not list(m.children())]
    for (path, module), *after in zip(leaves, leaves[1:], [*leaves[2:], ("", None)], strict=False):
        if isinstance(module, nn.Conv2d):
            last = [n for n, m in after if isinstance(m, (nn.BatchNorm2d, nn.ReLU, nn.ReLU6))]
            maps[path] = [("out", last[-1])]
    linear = next(n for n, m in leaves if isinstance(m, nn.Linear))
    return maps | {linear: [("out", linear)]}


def inner_layers(model: nn.Module, name: str) -> list[str]:
    """The convolutions right before a depthwise one, in the bundled networks."""
    if name != "mobilenet_v2":
        return []
    convs = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    return [a for (a, _), (_, m) in pairwise(convs) if m.groups > 1]


def run_with_maps(
    model: nn.Module, maps: Maps, image: Tensor
) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """The logits for one image, and each layer's feature maps with their graph."""
    found: dict[str, list[Tensor]] = {name: [] for name in maps}
    handles = []
    for name, places in maps.items():
        for side, path in places:
            module = model.get_submodule(path)

            def keep(_m, inputs, output, name=name, side=side):
                found[name].append(inputs[0] if side == "in" else output)

            handles.append(module.register_forward_hook(keep))
    try:
        return model(image), found
    finally:
        for handle in handles:
            handle.remove()


class Observed:
    """All maps and gradients of a network on some images, and its weights' gradients."""

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        maps: Maps,
        images: Tensor,
        labels: Tensor,
        units: np.ndarray | None = None,
        inner: Collection[str] = (),
    ) -> None:
        self.model, self.graph, self.images, self.labels = model, graph, images, labels
        self.inner = inner  # layers whose maps go into a depthwise convolution of the same units
        self.units = np.flatnonzero(graph.prunable) if units is None else units
        self.a: dict[str, list[list[np.ndarray]]] = {name: [] for name in maps}
        self.g: dict[str, list[list[np.ndarray]]] = {name: [] for name in maps}
        model = model.eval().requires_grad_(True)
        for image, label in zip(images, labels, strict=True):
            logits, found = run_with_maps(model, maps, image[None])
            loss = F.cross_entropy(logits, label[None])
            flat = [m for ms in found.values() for m in ms]
            gradients = iter(torch.autograd.grad(loss, flat))
            for name, ms in found.items():
                first = -1 if graph.layer(name).kind == "linear" else 0
                self.a[name].append([m[0].detach().movedim(first, 0).numpy() for m in ms])
                self.g[name].append([next(gradients)[0].movedim(first, 0).numpy() for _ in ms])
        model.zero_grad()
        F.cross_entropy(model(images), labels).backward()

    def values(self, name: str, channel: int) -> np.ndarray:
        """Everything that one channel ever answered."""
        return np.concatenate([np.ravel(m[channel]) for image in self.a[name] for m in image])

    def by_unit(self, measure: Callable[[str, int], float], combine=np.mean) -> np.ndarray:
        """A measure of each filter, combined over the members of each unit."""
        out = np.full(self.graph.num_units, np.nan)
        for unit in self.units:
            members = self.graph.members(int(unit))
            out[unit] = combine([measure(n, c) for n, cs in members.items() for c in cs])
        return out

    def _outer(self, unit: int) -> dict[str, tuple[int, ...]]:
        members = self.graph.members(int(unit))
        return {name: of for name, of in members.items() if name not in self.inner}

    def terms(self) -> np.ndarray:
        """(images, units) sum of activation × gradient over all maps of all members."""
        out = np.zeros((len(self.images), self.graph.num_units))
        for n in range(len(self.images)):
            for unit in self.units:
                for name, channels in self._outer(unit).items():
                    for a, g in zip(self.a[name][n], self.g[name][n], strict=True):
                        for channel in channels:
                            out[n, unit] += float((a[channel] * g[channel]).sum())
        return out

    def sizes(self) -> np.ndarray:
        """(units,) values in all maps of all members, on one image."""
        out = np.full(self.graph.num_units, np.nan)
        for unit in self.units:
            out[unit] = 0
            for name, channels in self._outer(unit).items():
                out[unit] += sum(a[c].size for a in self.a[name][0] for c in channels)
        return out

    def weight(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A layer's weight and its gradient, filters first."""
        layer = self.graph.layer(name)
        parameter = self.model.get_parameter(layer.weight)
        values, gradient = parameter.detach().numpy(), parameter.grad.numpy()
        if "transpose" not in layer.kind:
            return values, gradient
        assert layer.conv_groups == 1
        return values.swapaxes(0, 1), gradient.swapaxes(0, 1)


def distance_to_others(weight: np.ndarray, channel: int) -> float:
    return float(sum(np.linalg.norm(weight[channel] - other) for other in weight))


def in_common(observed: Observed, name: str, channel: int) -> float:
    """Sum of p(bin, label) log p(bin, label) / p(bin) p(label), with eight bins at most."""
    response = [
        np.concatenate([np.ravel(m[channel]) for m in image]).mean() for image in observed.a[name]
    ]
    used = max(2, min(8, len(response) // 4))
    edges = np.quantile(response, [k / used for k in range(1, used)])
    pairs = [
        (sum(r >= e for e in edges), int(y)) for r, y in zip(response, observed.labels, strict=True)
    ]
    n = len(pairs)
    total = 0.0
    for pair in set(pairs):
        own = pairs.count(pair) / n
        bins = sum(b == pair[0] for b, _ in pairs) / n
        label = sum(y == pair[1] for _, y in pairs) / n
        total += own * np.log(own / (bins * label))
    return total


REFERENCE: dict[str, Callable[[Observed], np.ndarray]] = {
    "l1": lambda o: o.by_unit(lambda n, c: np.abs(o.weight(n)[0][c]).sum()),
    "l2": lambda o: o.by_unit(lambda n, c: np.linalg.norm(o.weight(n)[0][c])),
    "fpgm": lambda o: o.by_unit(lambda n, c: distance_to_others(o.weight(n)[0], c)),
    "mean_activation": lambda o: o.by_unit(lambda n, c: np.abs(o.values(n, c)).mean()),
    "std_activation": lambda o: o.by_unit(lambda n, c: o.values(n, c).std()),
    "apoz": lambda o: o.by_unit(lambda n, c: (o.values(n, c) > 0).mean()),
    "mutual_information": lambda o: o.by_unit(lambda n, c: in_common(o, n, c)),
    "taylor": lambda o: np.abs(o.terms().mean(0)) / o.sizes(),
    "taylor_image": lambda o: np.abs(o.terms()).mean(0) / o.sizes(),
    "taylor_loss": lambda o: np.abs(o.terms().mean(0)),
    "fisher": lambda o: (o.terms() ** 2).mean(0) / 2,
    "taylor_weight": lambda o: (
        o.by_unit(lambda n, c: (o.weight(n)[0][c] * o.weight(n)[1][c]).sum(), np.sum) ** 2
    ),
    "oracle": lambda o: oracle(o.model, o.graph, o.images, o.labels),
}


@torch.no_grad()
def oracle(model: nn.Module, graph: ChannelGraph, images: Tensor, labels: Tensor) -> np.ndarray:
    """One masked network after the other."""
    out = np.full(graph.num_units, np.nan)
    whole = F.cross_entropy(model(images), labels)
    for unit in np.flatnonzero(graph.prunable):
        silent = mask(model, graph, Plan(graph, [int(unit)]))
        out[unit] = abs(float(F.cross_entropy(silent(images), labels) - whole))
    return out

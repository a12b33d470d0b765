"""Small networks and images for tests of the repair."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet, ImageSet
from pruneviz.plan import Plan
from tests.core.laws import shake


def images_of(size: int, count: int, classes: int = 5, seed: int = 0) -> DataSet:
    """Blurred noise: neighbouring pixels go together, as in pictures."""
    rng = torch.Generator().manual_seed(seed)

    def split(n: int) -> ImageSet:
        noise = torch.rand(n, 3, size // 4, size // 4, generator=rng)
        smooth = nn.functional.interpolate(noise, size=size, mode="bilinear")
        pixels = (smooth * 255).to(torch.uint8)
        return ImageSet(pixels, torch.arange(n) % classes)

    names = tuple(str(i) for i in range(classes))
    return DataSet(
        "noise", split(count), split(count // 2), None, names, (3, size, size), {}, augment=None
    )


class TwoLayers(nn.Module):
    """A convolution whose last four filters are linear combinations of the first four."""

    def __init__(self, *, norm: bool, bias: bool, exact: bool = True, groups: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 6, 3, padding=1, bias=bias, groups=groups)
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.head = nn.Linear(6, 5)
        if exact:
            mix = torch.randn(4, 4, generator=torch.Generator().manual_seed(3))
            with torch.no_grad():
                self.first.weight[4:] = torch.einsum("ij,jchw->ichw", mix, self.first.weight[:4])
                self.first.bias[4:] = mix @ self.first.bias[:4] + 0.3  # a constant of its own, too

    def forward(self, x: Tensor) -> Tensor:
        """Nothing between the two convolutions: what goes is a linear combination of what stays."""
        x = self.norm(self.second(self.first(x))).relu()
        return self.head(x.mean((2, 3)))


def two_layers(**options: bool | int) -> nn.Module:
    """Weights and statistics that are not trivial."""
    torch.manual_seed(0)
    return shake(TwoLayers(**options))


def last_half(graph: ChannelGraph, layer: str) -> Plan:
    """The plan that drops the upper half of a layer's filters."""
    width = graph.layer(layer).out_channels
    return Plan(graph).drop(layer, range(width // 2, width))


def error(network: nn.Module, unpruned: nn.Module, images: Tensor) -> float:
    """Mean square of what the outputs lack, as a fraction of the unpruned ones'."""
    with torch.no_grad():
        want, got = unpruned.eval()(images), network.eval()(images)
    return float((got - want).square().mean() / want.square().mean())

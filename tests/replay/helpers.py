"""Networks, and plans for them."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.func import functional_call

import pruneviz as pv

FAMILIES = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "inception_v3",
    "squeezenet1_0",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "regnet_y_400mf",
    "regnet_x_400mf",
    "convnext_tiny",
]


def build(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = getattr(torchvision.models, name)(weights=None, num_classes=10)
    return liven(model)


def liven(model: nn.Module) -> nn.Module:
    """Give norms statistics that matter."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def rerun(model: nn.Module, changed: dict[str, Tensor], images: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = functional_call(model, changed, (images.clone(),))
    return result


def other(tensor: Tensor, seed: int) -> Tensor:
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return tensor.detach() * (1 + 0.5 * noise) + 0.01


def random_plan(graph: pv.ChannelGraph, rng: np.random.Generator, groups: int) -> pv.Plan:
    chosen = rng.choice(len(graph.prunable_groups), min(groups, len(graph.prunable_groups)), False)
    units: list[int] = []
    for group in (graph.prunable_groups[i] for i in chosen):
        units += rng.choice(group.units, int(rng.integers(0, group.width)), False).tolist()
    return pv.Plan(graph, units)


class Mixed(nn.Module):
    """Residual, concatenation, shuffle, depthwise and grouped convolution, in place throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.deep_norm = nn.BatchNorm2d(8, affine=False)
        self.point = nn.Conv2d(8, 8, 1)
        self.side = nn.Conv2d(8, 6, 3, padding=1)
        self.join = nn.Conv2d(14, 12, 3, padding=1)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.last = nn.Conv2d(12, 16, 3, stride=2)
        self.last_norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16 * 3 * 3, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)), inplace=True)
        x += self.point(F.hardswish(self.deep_norm(self.deep(x)), inplace=True))
        x = torch.cat([x, self.side(x).sigmoid_()], 1)
        x = F.silu(self.grouped(F.relu6(self.join(x))))
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.leaky_relu(self.last_norm(self.last(x)), 0.2, inplace=True)
        return self.head(x.flatten(1))


class Sometimes(Mixed):
    """Its path depends on the data, so nothing can be replayed."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() < 100 else -x)

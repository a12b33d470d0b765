"""Small networks whose feature maps can also be reached with plain hooks, and data for them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from pruneviz.data import DataSet, ImageSet


class Residual(nn.Module):
    """A residual block with in-place operations; the stream ties three layers."""

    MAPS: ClassVar = {
        "stem": [("out", "relu")],
        "conv1": [("out", "relu1")],
        "conv2": [("out", "bn2")],
        "proj": [("out", "proj")],
        "fc": [("out", "fc")],
    }

    def __init__(self, inplace: bool = True) -> None:
        super().__init__()
        self.inplace = inplace
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace)
        self.conv1 = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu1 = nn.ReLU(inplace)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.proj = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.relu(self.bn(self.stem(x)))
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.inplace:
            y += x  # overwrites the map of conv2
            y += self.proj(x)
            y.relu_()
        else:
            y = torch.relu(y + x + self.proj(x))
        return self.fc(y.mean((2, 3)))


class Shared(nn.Module):
    """One convolution used twice, a grouped and a transposed one, PReLU, linear on tokens."""

    MAPS: ClassVar = {
        "stem": [("out", "act0")],
        "twice": [("out", "act1"), ("out", "act2")],
        "up": [("out", "up")],
        "tokens": [("out", "gelu")],
        "fc": [("out", "fc")],
    }

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.act0, self.act1, self.act2 = nn.PReLU(6), nn.ELU(), nn.Sigmoid()
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
        self.tokens = nn.Linear(5, 7)
        self.gelu = nn.GELU()
        self.fc = nn.Linear(7, 4)

    def forward(self, x):
        x = self.act0(self.stem(x))
        x = self.act2(self.twice(self.act1(self.twice(x))))
        x = self.up(x).flatten(2).transpose(1, 2)
        return self.fc(self.gelu(self.tokens(x)).mean(1))


class Depthwise(nn.Module):
    """An inverted residual block: the depthwise filters go with those before them."""

    MAPS: ClassVar = {
        "stem": [("out", "stem")],
        "expand": [("out", "act1")],
        "depthwise": [("out", "act2")],
        "project": [("out", "norm")],
        "fc": [("out", "fc")],
    }
    INNER = ("expand",)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, stride=2)
        self.expand = nn.Conv2d(5, 12, 1)
        self.act1 = nn.Hardswish()
        self.depthwise = nn.Conv2d(12, 12, 3, stride=2, groups=12)
        self.act2 = nn.ReLU6()
        self.project = nn.Conv2d(12, 5, 1)
        self.norm = nn.BatchNorm2d(5)
        self.fc = nn.Linear(5, 4)

    def forward(self, x):
        x = self.act2(self.depthwise(self.act1(self.expand(self.stem(x)))))
        return self.fc(self.norm(self.project(x)).amax((2, 3)))


def tiny_data(shape: tuple[int, int, int] = (3, 16, 16), count: int = 11, seed: int = 0) -> DataSet:
    """Random images of four classes, in a split each."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=rng)
    labels = torch.arange(count) % 4
    every = ImageSet(images, labels)
    return DataSet("tiny", every, every, None, tuple("abcd"), shape, {"name": "tiny"})

"""Where the networks of the tests are listed, and the classifier that most of them end in."""

from __future__ import annotations

from torch import nn

SHAPE = (3, 16, 16)
NETWORKS: dict[str, type[nn.Module]] = {}


def network(cls: type[nn.Module]) -> type[nn.Module]:
    NETWORKS[cls.__name__] = cls
    return cls


def head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))

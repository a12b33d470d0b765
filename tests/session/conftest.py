"""A small network and images, loaded as a workbench without a catalogue."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruneviz.data import DataSet, ImageSet
from pruneviz.session.decisions import Subject
from pruneviz.session.workbench import Workbench
from pruneviz.session.workbenches import Workbenches


def network(seed: int = 0) -> nn.Module:
    """8 and 16 filters in two groups, four classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 4),
    )  # fmt: skip


def images() -> DataSet:
    """80 images of noise, four classes."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (80, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(80) % 4
    splits = [ImageSet(pixels[a:b], labels[a:b]) for a, b in ((0, 40), (40, 80))]
    return DataSet("noise", *splits, None, tuple("abcd"), (3, 8, 8), {"name": "noise"})


@pytest.fixture
def workbench() -> Workbench:
    return Workbench.of(network(), images())


@pytest.fixture
def workbenches(workbench: Workbench) -> Workbenches:
    loaded = Workbenches()
    loaded.put(workbench)
    return loaded


@pytest.fixture
def subject(workbench: Workbench) -> Subject:
    return workbench.subject

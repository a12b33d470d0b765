"""Networks and images whose outcomes are known."""

from __future__ import annotations

import torch
from torch import nn

from pruneviz.data import DataSet, ImageSet

CLASSES = ("a", "b", "c")


class Fixed(nn.Module):
    """Gives the logits that the first pixel of an image selects from a table."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixel = (x[:, 0, 0, 0] * 0.229 + 0.485) * 255
        return self.table[pixel.round().long()]


def coded(labels: list[int]) -> ImageSet:
    """One image a label; its pixels hold its index."""
    n = len(labels)
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 4, 4)
    return ImageSet(images, torch.tensor(labels, dtype=torch.int64))


def data_of(val: ImageSet, train: ImageSet | None = None) -> DataSet:
    return DataSet("coded", val if train is None else train, val, None, CLASSES, (3, 4, 4), {})


class Net(nn.Module):
    """A small network with all that makes a run hard to repeat: batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.drop = nn.Dropout(0.2)
        self.linear = nn.Linear(16 * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.drop(self.features(x).flatten(1)))


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net().eval()


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)

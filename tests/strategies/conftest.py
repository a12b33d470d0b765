"""A network of a few filters and images that it learns in a second."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet, ImageSet
from pruneviz.trace import trace
from pruneviz.training import fine_tune

SHAPE = (3, 8, 8)


class TinyNet(nn.Module):
    """A stem, a residual block and a wide layer; channels of stem and block are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 5, 3, padding=1)
        self.outer = nn.Conv2d(5, 6, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.wide = nn.Conv2d(6, 12, 3, padding=1)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        y = self.norm2(self.outer(torch.relu(self.inner(x))))
        x = torch.nn.functional.max_pool2d(torch.relu(x + y), 2)
        x = torch.relu(self.wide(x))
        return self.head(self.drop(x.mean((2, 3))))


def images_of(count: int, seed: int) -> ImageSet:
    """Noise with a bright row, column or corner: three classes."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 110, (count, *SHAPE), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 3
    where = torch.randint(0, 7, (count,), generator=generator).tolist()
    for image, label, at in zip(images, labels.tolist(), where, strict=True):
        if label == 0:
            image[:, at : at + 2, :] += 120
        elif label == 1:
            image[:, :, at : at + 2] += 120
        else:
            image[:, at : at + 3, at : at + 3] += 120
    return ImageSet(images, labels)


@pytest.fixture(scope="session")
def data() -> DataSet:
    return DataSet(
        name="stripes",
        train=images_of(96, 0),
        val=images_of(60, 1),
        test=images_of(30, 2),
        classes=("row", "column", "corner"),
        input_shape=SHAPE,
        source={"name": "stripes", "options": {}},
        augment="crop-flip",
    )


@pytest.fixture(scope="session")
def _trained(data: DataSet) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = TinyNet()
    for _ in fine_tune(net, data, epochs=8, lr=0.05, batch_size=16):
        pass
    return net.state_dict()


@pytest.fixture
def model(_trained: dict[str, torch.Tensor]) -> nn.Module:
    net = TinyNet()
    net.load_state_dict(_trained)
    return net.eval()


@pytest.fixture
def graph(model: nn.Module) -> ChannelGraph:
    return trace(model, SHAPE)

"""What cannot be repeated is refused, and what merely looks so is seen through."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruneviz.replay import NotReplayableError, Tape
from pruneviz.replay.record import record
from tests.replay.helpers import rerun
from tests.replay.test_network import Shared


class OnData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


class Branch(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Number(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return (x * float(x.max())).mean((2, 3))


class Masked(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        return x[x > 0][:4]


class Random(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.conv(x), 0.5, training=True).mean((2, 3))


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2


class Hidden(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return Twice.apply(self.conv(x)).mean((2, 3))


class Scripted(OnData):
    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pool = torch.jit.trace(nn.AvgPool2d(2), x)
        return pool(self.conv(x)).mean((2, 3))


class Cast(OnData):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(x).mean((2, 3)).float()


class Statistics(OnData):
    def forward(self, x: Tensor) -> Tensor:
        self.conv.bias.data.add_(0.01)
        return self.conv(x).mean((2, 3))


class Numpy(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.conv(x).numpy() * 2).mean((2, 3))


def test_a_custom_autograd_function_is_seen_through() -> None:
    model, images = Hidden().eval(), torch.randn(2, 3, 8, 8)
    changed = {"conv.weight": torch.randn(4, 3, 3, 3)}
    assert torch.equal(Tape.record(model, images).run(changed), rerun(model, changed, images))


@pytest.mark.parametrize(
    "kind", [Branch, Number, Masked, Random, Scripted, Cast, Statistics, Numpy]
)
def test_what_cannot_be_repeated_is_refused(kind: type[OnData]) -> None:
    with pytest.raises(NotReplayableError, match=r"."):
        record(kind().eval(), torch.randn(2, 3, 8, 8))


def test_a_model_in_training_mode_is_refused() -> None:
    with pytest.raises(NotReplayableError, match="training mode"):
        record(Shared(), torch.randn(2, 3, 8, 8))

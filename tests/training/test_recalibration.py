"""Batch-norm statistics measured anew are those of the images."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.training import recalibrate


class Normed(nn.Module):
    """A norm on the images themselves, dropout that must stay out of it, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.9)
        self.head = nn.Linear(3, 10)
        self.last = nn.BatchNorm1d(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.head(self.drop(self.norm(x)).mean((2, 3))))


def test_statistics_are_those_of_the_training_images(digits: DataSet) -> None:
    data = replace(digits, augment=None, train=digits.train.first(320))
    model = Normed().train()
    model.head.eval()
    weights = [p.clone() for p in model.parameters()]
    assert recalibrate(model, data, batch_size=64) == 320
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert (model.training, model.norm.training, model.head.training) == (True, True, False)
    assert model.norm.momentum == 0.1
    ((x, _),) = data.train.batches(320)
    mean = model.norm.running_mean
    assert mean is not None
    assert torch.allclose(mean, x.mean((0, 2, 3)), atol=1e-3)
    each = torch.stack([b.var((0, 2, 3)) for b, _ in data.train.batches(64, shuffle_seed=0)])
    assert torch.allclose(model.norm.running_var, each.mean(0), atol=1e-3)
    model.eval()
    assert abs(model.norm(x).mean().item()) < 1e-4
    assert abs(model(x).mean().item()) < 1e-4  # dropout was off, or the last norm would be off


def test_so_many_images_and_no_more(digits: DataSet) -> None:
    assert recalibrate(Normed(), digits, images=100, batch_size=32) == 128
    frozen = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten())
    assert recalibrate(frozen, digits) == 0


def test_the_same_seed_gives_the_same_statistics(digits: DataSet) -> None:
    def found(seed: int) -> torch.Tensor:
        model = Normed()
        recalibrate(model, digits, images=64, seed=seed)
        assert model.norm.running_mean is not None
        return model.norm.running_mean

    assert torch.equal(found(1), found(1))
    assert not torch.equal(found(1), found(2))


def test_a_failure_leaves_the_modes_as_they_were(digits: DataSet) -> None:
    model = Normed().train()
    model.head = nn.Linear(4, 10)
    with pytest.raises(RuntimeError):
        recalibrate(model, digits)
    assert model.training
    assert model.norm.momentum == 0.1


@pytest.mark.parametrize("images", [math.nan, 0, -1, 2.5, "64", True, None])
def test_a_number_of_images_that_is_none_is_refused(digits: DataSet, images: object) -> None:
    model = Normed()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(InvalidValueError, match="images must be a whole number from 1"):
        recalibrate(model, digits, images=images)  # type: ignore[arg-type]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())

"""How far weights have moved: by hand, through a cut, and where it cannot be told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.strategies.movement import Movement


class Two(nn.Module):
    """Two layers, of which the first can lose filters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1, bias=False)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.first(x).relu().mean((2, 3)))


@pytest.fixture
def model() -> nn.Module:
    model = Two()
    with torch.no_grad():
        model.first.weight.copy_(torch.arange(1.0, 5.0).reshape(4, 1, 1, 1).expand(4, 3, 1, 1))
        model.head.weight.fill_(2.0)
    return model


def test_each_call_tells_what_changed_since_the_last(model: nn.Module) -> None:
    """Filters 1, 2, 3, 4; the last two stay, and one weight moves by 3."""
    graph = pv.trace(model, (3, 4, 4))
    plan = pv.Plan(graph).drop("first", [0, 1])
    movement = Movement(graph, model.state_dict(), pv.Plan(graph))
    small = pv.prune(model, graph, plan)
    assert movement.to(small.state_dict(), plan) == (0.0, 0.0), "a removal alone changes nothing"
    with torch.no_grad():
        small.first.weight[0, 1] += 3.0
        small.head.weight += 2.0
    length = math.sqrt(3 * 3**2 + 3 * 4**2)
    assert movement.to(small.state_dict(), plan) == (round(3 / length, 5), 1.0)
    assert movement.to(small.state_dict(), plan) == (0.0, 0.0)
    with torch.no_grad():
        small.head.weight += 2.0
    assert movement.to(small.state_dict(), plan) == (0.0, 0.5)


def test_what_cannot_be_told_is_left_open(model: nn.Module) -> None:
    graph = pv.trace(model, (3, 4, 4))
    none, plan = pv.Plan(graph), pv.Plan(graph).drop("first", [0])
    with torch.no_grad():
        model.head.weight.zero_()
    movement = Movement(graph, model.state_dict(), none)
    other = {"first.weight": torch.ones(5, 3, 1, 1), "head.weight": torch.ones(2, 4)}
    assert movement.to(other, none) == (None, None)
    assert movement.to({}, none) == (None, None)
    cut = pv.prune(model, graph, plan).state_dict()
    movement = Movement(graph, cut, plan)
    assert movement.to(model.state_dict(), none) == (None, None), "a filter has come back"

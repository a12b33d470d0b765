"""Norms written anew: the same function, and in training the same network as in evaluation."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruneviz.repair.norms import rebase_norms

IMAGES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 4, 3),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Linear(64, 6),
        nn.BatchNorm1d(6),
    )
    for norm in (net[1], net[7]):  # statistics far from those of the images
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.2, 3)
        nn.init.uniform_(norm.weight, -1, 2)
    return net.eval()


@torch.no_grad()
def test_the_function_stays_and_training_sees_it_too() -> None:
    before = network()
    after = copy.deepcopy(before)
    assert rebase_norms(after, IMAGES) == 2
    wanted = before(IMAGES)
    torch.testing.assert_close(after(IMAGES), wanted, atol=1e-5, rtol=1e-5)
    assert not after.training
    for net in (before, after):  # batches' own statistics, as in training
        net[1].train()
        net[7].train()
    torch.testing.assert_close(after(IMAGES), wanted, atol=1e-4, rtol=1e-4)
    assert (before(IMAGES) - wanted).abs().max() > 0.1


@torch.no_grad()
def test_a_norm_that_runs_twice_stays() -> None:
    norm = nn.BatchNorm2d(3)
    net = nn.Sequential(norm, nn.ReLU(), norm).eval()
    state = copy.deepcopy(net.state_dict())
    assert rebase_norms(net, IMAGES) == 0
    assert all(torch.equal(net.state_dict()[k], v) for k, v in state.items())

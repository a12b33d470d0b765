"""Norms written anew: the same function, and in training the same network as in evaluation."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

import pruneviz as pv
from pruneviz.repair import Repairer
from pruneviz.repair.norms import correct_norms, measure_norms, rebase_norms
from tests.repair.helpers import images_of, two_layers

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


@torch.no_grad()
def test_corrected_statistics_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1))
    model[1].running_mean.uniform_(-1, 1)
    model[1].running_var.uniform_(0.2, 3)
    model.eval()
    graph = pv.trace(model, (3, 8, 8))
    plan = pv.Plan(graph).drop(graph.prunable_groups[0].name, [1, 4])
    pruned = pv.prune(model, graph, plan)
    pruned[0].weight.mul_(2)  # what a repair might do
    whole = pv.prune(model, graph, pv.Plan(graph))
    assert correct_norms(model, pruned, graph, plan, IMAGES, measure_norms(whole, IMAGES)) == 1
    read = model[0](IMAGES).transpose(0, 1).flatten(1).double().numpy()[[0, 2, 3]]
    e, old = (
        model[1].eps,
        {k: v.double().numpy()[[0, 2, 3]] for k, v in model[1].named_buffers() if v.ndim},
    )
    variance, mean = read.var(1), read.mean(1)
    gain = (4 * variance + e) / (variance + e)
    mean_now = 2 * mean + (old["running_mean"] - mean) * np.sqrt(gain)
    variance_now = (old["running_var"] + e) * gain - e
    np.testing.assert_allclose(pruned[1].running_mean.numpy(), mean_now, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pruned[1].running_var.numpy(), variance_now, rtol=1e-4)
    assert not pruned.training
    assert pruned[1].momentum == 0.1


@torch.no_grad()
def test_each_norm_gives_what_it_gave_in_mean_and_variance() -> None:
    """Statistics far from the images', as after a change of domain; norms behind corrected ones."""
    torch.manual_seed(2)
    layers = [(nn.Conv2d(n, 6, 3), nn.BatchNorm2d(6), nn.ReLU()) for n in (3, 6, 6)]
    model = nn.Sequential(*(m for block in layers for m in block), nn.Conv2d(6, 2, 1)).eval()
    for norm in (model[1], model[4], model[7]):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.2, 3)
    graph = pv.trace(model, (3, 8, 8))
    plan = pv.Plan(graph).drop("0", [1, 4]).drop("3", [0])
    pruned = pv.prune(model, graph, plan)
    whole = pv.prune(model, graph, pv.Plan(graph))
    assert correct_norms(model, pruned, graph, plan, IMAGES, measure_norms(whole, IMAGES)) == 3
    for end, kept in ((2, [0, 2, 3, 5]), (5, [1, 2, 3, 4, 5]), (8, range(6))):
        given = pruned[:end](IMAGES).transpose(0, 1).flatten(1)
        gave = model[:end](IMAGES).transpose(0, 1).flatten(1)[list(kept)]
        torch.testing.assert_close(given.mean(1), gave.mean(1), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(given.var(1), gave.var(1), atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_an_instant_repair_of_nothing_is_the_unpruned_network() -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 48)
    graph = pv.trace(model, (3, 16, 16))
    before = copy.deepcopy(model.state_dict())
    same = Repairer(model, graph, data).instant(pv.Plan(graph)).network
    x, _ = next(data.val.batches(16))
    torch.testing.assert_close(same(x), model(x))
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())


@torch.no_grad()
def test_a_channel_that_is_silent_on_the_images_is_not_made_loud() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    model.eval()
    graph = pv.trace(model, (3, 8, 8))
    pruned = pv.prune(model, graph, pv.Plan(graph))
    pruned[0].weight[0] = 0
    whole = pv.prune(model, graph, pv.Plan(graph))
    correct_norms(model, pruned, graph, pv.Plan(graph), IMAGES, measure_norms(whole, IMAGES))
    assert pruned[1].running_var[0] > 0.09 * model[1].running_var[0]
    torch.testing.assert_close(pruned[1].running_var[1:], model[1].running_var[1:])

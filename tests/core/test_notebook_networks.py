"""The laws over networks written by hand, and what the graph says about each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pruneviz.errors import PlanError, TraceError
from pruneviz.plan import Plan
from pruneviz.surgery import mask, prune
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, relative_error, shake
from tests.core.networks import NETWORKS, SHAPE
from tests.core.networks.opaque import Scripted

FUNCTIONAL = {"FunctionalInPlace", "WeightNormed"}


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return shake(NETWORKS[name]())


@pytest.mark.parametrize("name", NETWORKS)
def test_laws(name: str) -> None:
    model = build(name)
    graph = trace(model, SHAPE)
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert graph.prunable_groups, "nothing to test"
    for seed in range(4):
        plan = random_plan(graph, seed)
        check_laws(model, graph, plan, images, functional=name in FUNCTIONAL)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("Plain", {"conv1": 8, "conv2": 12}),
        ("FunctionalInPlace", {"w1": 8, "conv3": 6}),
        ("SharedModules", {"stem": 8}),
        ("SqueezeExcite", {"conv1": 12, "reduce": 6, "conv2": 8}),
        ("TiedBranches", {"stem": 8, "b": 4, "d": 6}),
        ("Transposed", {"down": 8, "deep": 12, "up": 6, "last": 5}),
        ("GroupNormNet", {"conv1": 8, "conv2": 6, "conv3": 10}),
        ("ChunkAndShuffle", {"stem": 8, "inner1": 10}),
        ("FlattenIntoTwo", {"conv1": 6, "conv2": 8, "left": 10}),
        ("PixelShuffled", {"conv1": 8, "conv2": 4, "conv3": 6}),
        ("ChannelsLast", {"stem": 8, "up": 20}),
    ],
)
def test_units_are_as_fine_as_they_can_be(name: str, groups: dict[str, int]) -> None:
    graph = trace(build(name), SHAPE)
    assert {g.name: g.width for g in graph.prunable_groups} == groups


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("Fourier", "conv2", "passes through torch.fft.fft2, which PruneViz cannot follow"),
        ("FixedView", "conv2", "is reshaped to a fixed size (512)"),
        ("FixedSplit", "conv1", "is split at fixed positions"),
        ("WrittenInPlace", "a", "is written into another tensor"),
        ("ChannelStatistics", "conv1", "is reduced over its channels"),
        ("ChannelStatistics", "conv2", "passes through torch.softmax along its channels"),
        ("ConstantOfFixedSize", "conv1", "is combined with a constant of fixed size"),
        ("ThroughNumpy", "conv1", "leaves torch through torch.Tensor.numpy"),
        ("Counted", "conv1", "is used in a computation by torch.Tensor.div"),
        ("NonLocal", "query", "matmul, which PruneViz cannot follow"),
        ("SpatialGate", "gate", "is broadcast over the channels of another layer"),
        ("Plain", "head.2", "feeds the network's output"),
        ("GroupedShuffle", "g1", "are coupled"),
    ],
)
def test_what_cannot_be_followed_stays_and_says_why(name: str, layer: str, reason: str) -> None:
    graph = trace(build(name), SHAPE)
    found = graph.layer(layer)
    assert not found.prunable
    assert reason in (found.reason or "")
    with pytest.raises(PlanError):
        Plan(graph).drop(layer, 0)


def test_padded_shortcut_leaves_the_padding() -> None:
    graph = trace(build("PaddedShortcut"), SHAPE)
    assert [g.width for g in graph.prunable_groups] == [8]
    # filter j of the stem is filter j + 4 after the padding
    assert graph.members(graph.unit_of("stem", 3)) == {"stem": (3,), "conv": (7,)}
    with pytest.raises(PlanError, match="constant"):
        Plan(graph).drop("conv", 0)


def test_whole_groups_of_a_group_norm_can_be_masked_exactly() -> None:
    model = build("GroupNormNet")
    graph = trace(model, SHAPE)
    assert graph.group("conv1").maskable
    assert not graph.group("conv2").maskable
    assert "whole groups" in graph.group("conv1").note
    plan = Plan(graph).drop("conv1", [0, 5, 9])
    pruned = prune(model, graph, plan)
    assert pruned.norm1.num_groups == 5
    assert pruned.norm1.num_channels == 10
    images = torch.randn(2, *SHAPE)
    with torch.no_grad():
        assert relative_error(pruned(images), mask(model, graph, plan)(images)) < 1e-5


def test_shared_weights_stay_shared() -> None:
    model = build("SharedModules")
    graph = trace(model, SHAPE)
    pruned = prune(model, graph, Plan(graph).drop("stem", [1, 2]))
    assert pruned.shared.weight is pruned.twin.weight
    assert pruned.shared.weight.shape == (6, 6, 3, 3)


def test_module_attributes_say_what_the_tensors_are() -> None:
    model = build("ChunkAndShuffle")
    graph = trace(model, SHAPE)
    pruned = prune(model, graph, Plan(graph).drop("inner1", [0, 1, 2]))
    assert (pruned.depthwise.groups, pruned.depthwise.in_channels) == (7, 7)
    assert pruned.inner2.in_channels == 7
    assert "7, 8, kernel_size" in repr(pruned.inner2)


def test_the_graph_must_belong_to_the_model() -> None:
    model, other = build("Plain"), build("FixedView")
    graph = trace(other, SHAPE)
    with pytest.raises(PlanError, match="traced from another network"):
        prune(model, graph, Plan(graph))


def test_tracing_leaves_the_model_as_it_was() -> None:
    model = build("Plain").train()
    model.conv2.eval()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random_state = torch.get_rng_state()
    trace(model, SHAPE)
    assert model.training
    assert not model.conv2.training
    assert all(torch.equal(state[k], v) for k, v in model.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())


def test_scripted_code_cannot_be_watched() -> None:
    model = shake(Scripted())  # what it makes is traced back to the channels that entered it
    graph = trace(model, SHAPE)
    assert "PruneViz cannot watch" in (graph.layer("conv1").reason or "")
    assert graph.layer("conv2").prunable
    assert not trace(build("CustomFunction"), SHAPE).layer("conv1").reason


def test_no_cnn_is_refused() -> None:
    with pytest.raises(TraceError, match="no convolution"):
        trace(nn.Sequential(nn.Flatten(), nn.Linear(768, 4)), SHAPE)
    with pytest.raises(TraceError, match="no parameters"):
        trace(nn.ReLU(), SHAPE)
    with pytest.raises(TraceError, match="does not run on an image of shape 5×16×16"):
        trace(build("Plain"), (5, 16, 16))
    with pytest.raises(TraceError, match="shape"):
        trace(build("Plain"), (3, 0, 16))
    with pytest.raises(TraceError, match="shape"):
        trace(build("Plain"), "image")


def test_sizes_hidden_in_the_code_never_break_a_model() -> None:
    class Hidden(nn.Module):
        """Multiplies by a number that equals a size: invisible to tracing."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
            self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
            self.linear = nn.Linear(8, 4)

        def forward(self, x):
            x = torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3))
            if x.shape[1] != 8:
                raise ValueError("eight channels, please")
            return self.linear(x)

    model = Hidden()
    graph = trace(model, SHAPE)
    with pytest.raises(PlanError, match="eight channels"):
        prune(model, graph, Plan(graph).drop("conv2", 0))
    prune(model, graph, Plan(graph).drop("conv1", 0))

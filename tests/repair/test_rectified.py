"""Where a ReLU reads a layer's outputs, the repair asks for no more than it lets through."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import pruneviz as pv
from pruneviz.repair import Repairer
from pruneviz.repair.structure import Structure, structure
from pruneviz.trace import trace
from tests.core.laws import shake
from tests.core.test_families import zoo


class Stack(nn.Module):
    """Convolutions that are read in different ways."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.in_place, self.six = (nn.Conv2d(3, 4, 3, padding=1) for _ in range(3))
        self.twice, self.smooth, self.summed = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.late = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        """A plain ReLU, one in place behind a norm, one up to 6; then what none alone reads."""
        one = self.plain(x).relu()
        two = nn.functional.relu(self.norm(self.in_place(x)), inplace=True)
        both = nn.functional.relu6(self.six(x)) + one * two
        out = self.twice(both)
        out = out.relu() + out + nn.functional.silu(self.smooth(both))
        late = self.late(both)
        kept = late.abs()
        out = out + kept + late.relu_()  # no longer what was kept
        out += out
        return self.head((self.summed(out) + out).relu().mean((2, 3)))


def test_what_a_rectifier_alone_reads_is_known() -> None:
    model = shake(Stack())
    known = structure(model, trace(model, (3, 8, 8)), torch.randn(2, 3, 8, 8))
    assert known.rectified == {
        "plain": math.inf, "in_place": math.inf, "six": 6.0, "summed": math.inf,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "most"), [("resnet18", math.inf), ("mobilenet_v2", 6.0)])
def test_families_rectifiers_are_known(name: str, most: float) -> None:
    model = shake(zoo(name))
    known = structure(model, trace(model, (3, 64, 64)), torch.randn(2, 3, 64, 64)).rectified
    assert set(known.values()) == {most}
    if name == "resnet18":  # the last of a block's layers is read through its sum, the others alone
        assert {"conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.downsample.0"} <= set(known)
        assert "layer2.0.conv2" not in known
    else:
        assert "features.2.conv.0.0" in known
        assert "features.2.conv.2" not in known  # a linear bottleneck


@pytest.mark.parametrize("most", [math.inf, 6.0])
@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_all_of_an_interval_gives_the_same_and_nothing_else_does(
    norm: bool, summed: bool, most: float
) -> None:
    rng = torch.Generator().manual_seed(0)
    model = nn.ModuleDict({"norm": nn.BatchNorm2d(6)})
    bn = model["norm"]
    with torch.no_grad():
        bn.weight.copy_(torch.tensor([2.0, -1.5, 0.7, -0.4, 1.0, 1e-6]))
        bn.bias.copy_(torch.randn(6, generator=rng))
        bn.running_mean.copy_(torch.randn(6, generator=rng))
        bn.running_var.copy_(torch.rand(6, generator=rng) + 0.5)
    others = {"layer": ("before", 1)} if summed else {}
    behind = Structure({"layer": "norm"} if norm else {}, others, {"layer": most})
    wanted = 4 * torch.randn(50, 8, 6, generator=rng)
    other = 2 * torch.randn(50, 8, 6, generator=rng) if summed else None

    @torch.no_grad()
    def passed(y: Tensor) -> Tensor:
        z = bn.eval()(y.flatten(0, 1)[..., None, None]).view(y.shape) if norm else y
        return (z if other is None else z + other).clamp(0, most)

    assert (behind.interval("layer", model, wanted, None) is None) == summed
    bounds = behind.interval("layer", model, wanted, other)
    assert bounds is not None
    low, high = bounds
    assert bool((low <= wanted).all() and (wanted <= high).all())
    assert bool((low < high).any()), "something negative is among them"
    goal = passed(wanted)
    for share in (0.0, 0.3, 1.0):
        inside = torch.where(low.isinf(), high - 9 * share, low)
        inside = torch.where(low.isfinite() & high.isfinite(), low + share * (high - low), inside)
        inside = torch.where(high.isinf(), low + 9 * share, inside)
        torch.testing.assert_close(passed(inside), goal, atol=1e-4, rtol=1e-4)
    loud = slice(0, 5) if norm else slice(0, 6)
    for outside in (low - 0.5, high + 0.5):
        there = outside.isfinite()[..., loud]
        apart = (passed(outside.nan_to_num(0, 0, 0)) - goal).abs()[..., loud]
        assert bool((apart[there] > 0).all())
    if norm:  # a channel that its norm silences is asked for as it was
        assert torch.equal(low[..., 5], wanted[..., 5])
        assert torch.equal(high[..., 5], wanted[..., 5])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "vgg16", "mobilenet_v2"])
def test_the_network_is_nearer_than_without(name: str) -> None:
    data = pv.load_dataset("digits")
    model = pv.load_model(name, weights="digits")
    graph = pv.trace(model, data.input_shape)
    plan = pv.threshold(graph, pv.rank(model, graph, None, ("l2",)), "l2", 0.7)
    x = next(data.val.batches(250))[0]

    def error(repairer: Repairer) -> float:
        with torch.no_grad():
            return float((repairer.full(plan).network(x) - model(x)).square().mean())

    with_them, without = (Repairer(model, graph, data, images=512) for _ in range(2))
    seen = without.reference
    seen.behind = replace(seen.behind, rectified={})
    assert with_them.reference.behind.rectified
    assert error(with_them) < error(without)

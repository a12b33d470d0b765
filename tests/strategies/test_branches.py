"""Narrow branches: what is zero goes, the stream stays, and the outputs are the same."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from pruneviz.catalog import load_model
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.errors import PlanError
from pruneviz.export import export
from pruneviz.strategies.branches import convolutions, narrow_branches, norms_after
from pruneviz.strategies.soft_rate import nominal_macs, whole_filters, zero_rows
from pruneviz.trace import trace

CIFAR = (3, 32, 32)


def zeroed_resnet20(rate: float) -> nn.Module:
    """ResNet-20 with this share of every convolution's filters silent.

    Branches lack filters from a quarter of the width on, where the stem and the stage before
    write: so every channel of a stream is written to from its first block on.
    """
    torch.manual_seed(0)
    network = load_model("resnet20", weights="digits")
    norms = norms_after(network, CIFAR)
    for name, convolution in convolutions(network).items():
        width = convolution.out_channels
        first = width // 4 if name.endswith("conv2") else 0
        gone = [first + i for i in range(whole_filters(width, rate))]
        zero_rows(convolution, gone)
        zero_rows(network.get_submodule(norms[name]), gone)
    return network.eval()


def by_hand(stem: int, stage1: int, stage2: int, stage3: int) -> int:
    """MACs of ResNet-20 whose convolutions keep so many filters, streams 16, 32 and 64 wide."""
    first = 9 * 32 * 32 * (3 * stem + stem * stage1 + 2 * 16 * stage1 + 3 * stage1 * stage1)
    second = 9 * 16 * 16 * (16 * stage2 + 2 * 32 * stage2 + 3 * stage2 * stage2)
    third = 9 * 8 * 8 * (32 * stage3 + 2 * 64 * stage3 + 3 * stage3 * stage3)
    return first + second + third + 64 * 10


@pytest.mark.slow
def test_the_published_count_is_that_of_fractions_of_filters() -> None:
    # He et al. 2018, table 1: 15.2 %, 29.3 % and 42.2 % at rates of 10, 20 and 30 %.
    network = load_model("resnet20", weights=None)
    full = by_hand(16, 16, 32, 64)
    assert cost(trace(network, CIFAR)).macs == full == 40_551_040
    # Ten convolutions of 2,359,296 MACs lose filters on both sides (the second of each block, and
    # the first that reads the stem); the others, and not the linear layer, on one.
    both, one, linear = 10 * 2_359_296, 442_368 + 6 * 2_359_296 + 2 * 1_179_648, 640
    assert both + one + linear == full
    for rate, published in ((0.1, 0.152), (0.2, 0.293), (0.3, 0.422)):
        left = nominal_macs(network, CIFAR, rate)
        assert left == pytest.approx(both * (1 - rate) ** 2 + one * (1 - rate) + linear, abs=1e-3)
        assert round(1 - left / full, 3) == published


def test_whole_filters_are_rounded_as_the_authors_code_does() -> None:
    # int(width * rate): 4.8, 9.6 and 19.2 filters of 16, 32 and 64.
    assert [whole_filters(w, 0.3) for w in (16, 32, 64)] == [4, 9, 19]
    assert whole_filters(10, 0.3) == 3  # 10 * 0.3 is 3.0000000000000004 or less in floats
    assert whole_filters(2, 0.99) == 1


def test_resnet20_at_a_rate_of_30_percent_to_the_last_mac() -> None:
    zeroed = zeroed_resnet20(0.3)
    small = narrow_branches(zeroed, CIFAR)
    # 12, 23 and 45 filters are left: 39.0 % fewer MACs, where fractions of filters give 42.2 %.
    wanted = by_hand(12, 12, 23, 45)
    assert cost(trace(small, CIFAR)).macs == wanted == 24_721_984
    assert 1 - wanted / 40_551_040 == pytest.approx(0.390, abs=5e-4)
    x = torch.randn(8, *CIFAR, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(small(x), zeroed(x), atol=1e-4, rtol=1e-4)
    stored = [sum(p.numel() for p in m.parameters()) for m in (small, zeroed)]
    assert stored[0] < 0.62 * stored[1]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["python", "pt2", "onnx"])
def test_narrow_branches_can_be_taken_away(form: str, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    small = narrow_branches(zeroed_resnet20(0.3), CIFAR)
    files = export(small, tmp_path, input_shape=CIFAR, formats=(form,))
    assert set(files) == {form}  # it was run, and its outputs compared


def test_narrow_branches_learn(model: nn.Module, graph: ChannelGraph) -> None:
    zero_rows(model.outer, [0, 4])
    zero_rows(model.norm2, [0, 4])
    small = narrow_branches(model, graph.input_shape).train()
    small(torch.randn(4, *graph.input_shape)).sum().backward()
    assert small.outer.weight.shape[0] == 4
    assert small.outer.weight.grad.abs().sum() > 0


def test_an_offset_after_a_zeroed_filter_keeps_it(model: nn.Module, graph: ChannelGraph) -> None:
    before = copy.deepcopy(model)
    zero_rows(model.outer, [0, 4])
    small = narrow_branches(model, graph.input_shape)  # norm2 still passes on its offset
    assert small.outer.weight.shape == before.outer.weight.shape


def test_a_network_that_would_change_is_refused() -> None:
    class Difference(nn.Module):
        """With equal weights the two cancel out, as channels that nothing writes to would."""

        def __init__(self) -> None:
            super().__init__()
            self.plus, self.minus = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
            self.last = nn.Conv2d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.plus(x) - self.minus(x)).mean((2, 3))

    torch.manual_seed(0)
    network = Difference()
    zero_rows(network.plus, [1])
    with pytest.raises(PlanError, match="must give the same outputs"):
        narrow_branches(network, (3, 8, 8))

"""The bundled architectures: the published sizes, names and shortcuts; and that they are small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pruneviz.catalog.mobilenet import mobilenet_v2
from pruneviz.catalog.resnet import (
    ZeroPadShortcut,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)
from pruneviz.catalog.vgg import vgg16

BUNDLED = {"resnet20": resnet20, "vgg16": vgg16, "mobilenet_v2": mobilenet_v2}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def macs(model: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, 32, 32))
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize(
    ("make", "depth", "millions"),
    # He et al. 2015, table 6
    [
        (resnet20, 20, 0.27),
        (resnet32, 32, 0.46),
        (resnet44, 44, 0.66),
        (resnet56, 56, 0.85),
        (resnet110, 110, 1.7),
    ],
)
def test_resnets_have_the_depth_and_size_of_the_paper(
    make: Callable[[], nn.Module], depth: int, millions: float
) -> None:
    model = make()
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == depth
    assert parameters(model) / 1e6 == pytest.approx(millions, abs=0.05 if depth == 110 else 0.006)


def test_resnet20_costs_by_hand() -> None:
    """A 3×3 convolution costs 9 * in * out MACs at each output pixel."""
    stem = 9 * 3 * 16 * 32 * 32
    first = 6 * 9 * 16 * 16 * 32 * 32
    second = 9 * (16 * 32 + 5 * 32 * 32) * 16 * 16
    third = 9 * (32 * 64 + 5 * 64 * 64) * 8 * 8
    assert macs(resnet20()) == stem + first + second + third + 64 * 10


def test_resnet_names_are_those_of_the_public_weights(shared: Path) -> None:
    for make, file in (
        (resnet20, "resnet20-12fca82f.th"),
        (resnet56, "resnet56-4bfd9763.th"),
    ):
        path = shared / "torch" / "hub" / "checkpoints" / file
        saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        state = {key.removeprefix("module."): value for key, value in saved.items()}
        make().load_state_dict(state, strict=True)


def test_the_shortcut_pads_with_zeros_and_has_nothing_to_learn() -> None:
    shortcut = ZeroPadShortcut(2, 3)
    x = torch.randn(4, 5, 8, 8)
    expected = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))
    assert torch.equal(shortcut(x), expected)
    assert not list(shortcut.parameters())
    assert not shortcut.state_dict()


def test_the_shortcut_follows_when_channels_are_removed() -> None:
    """No channel count is written into the forward pass: fewer zeros, fewer channels, same rest."""
    shortcut = ZeroPadShortcut(2, 3)
    x = torch.randn(4, 5, 8, 8)
    whole = shortcut(x)
    shortcut.before = shortcut.before[:, [0]]
    shortcut.after = shortcut.after[:, []]
    assert torch.equal(shortcut(x[:, [1, 4]]), whole[:, [0, 3, 6]])


def test_resnet_shortcuts_centre_the_old_channels() -> None:
    found = [m for m in resnet20().modules() if isinstance(m, ZeroPadShortcut)]
    sizes = [(m.before.shape[1], m.after.shape[1]) for m in found]
    assert sizes == [(8, 8), (16, 16)]


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_networks_are_small_regular_and_train(name: str) -> None:
    torch.manual_seed(0)
    model = BUNDLED[name]()
    assert parameters(model) * 2 < 4_000_000, "in half precision, bytes"
    assert macs(model) < (41_000_000 if name == "resnet20" else 30_000_000)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.out_channels % 8 == 0
    logits = model.train()(torch.randn(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_networks_take_any_number_of_classes(name: str) -> None:
    model = BUNDLED[name](num_classes=37).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 37)


def test_depth_and_convolutions_of_the_narrowed_networks() -> None:
    vgg = [m for m in vgg16().modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in vgg] == [16] * 2 + [32] * 2 + [64] * 3 + [128] * 6
    mobile = [m for m in mobilenet_v2().modules() if isinstance(m, nn.Conv2d)]
    assert len(mobile) == 52, "as many as at full width"
    assert sum(m.groups > 1 for m in mobile) == 17, "one depthwise convolution a block"

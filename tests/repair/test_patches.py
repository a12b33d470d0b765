"""Rows of patches times a weight are the convolution's outputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pruneviz.repair import patches
from pruneviz.repair.calls import LayerCall, Run, watching
from pruneviz.trace import trace

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(4, 6, 3), (4, 9, 8)),
    "padded, strided": (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 2)), (4, 9, 8)),
    "same": (nn.Conv2d(4, 6, (3, 4), padding="same"), (4, 9, 8)),
    "valid": (nn.Conv2d(4, 6, 3, padding="valid"), (4, 9, 8)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=2, padding=2), (4, 9, 8)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (4, 9, 8)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, stride=2), (4, 9, 8)),
    "one dimension": (nn.Conv1d(4, 6, 3, padding=1), (4, 20)),
    "three dimensions": (nn.Conv3d(4, 6, (1, 3, 2), padding=(0, 1, 1)), (4, 5, 6, 7)),
    "linear": (nn.Linear(4, 6), (4, 7)),
    "linear over tokens": (nn.Linear(7, 6), (4, 7)),
}


@pytest.mark.parametrize("rows", [12, 100_000])
@pytest.mark.parametrize("name", LAYERS)
def test_rows_times_weight_are_the_outputs(name: str, rows: int) -> None:
    layer, shape = LAYERS[name]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(4, 4, 1) if isinstance(layer, nn.Linear) else nn.Identity()
            self.layer = layer
            self.head = nn.Linear(1, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            out = self.layer(x.mean(2) if name == "linear" else x)
            return self.head(out.flatten(1).mean(1, keepdim=True))

    seen: list[Any] = []

    def visit(call: LayerCall, run: Run) -> Tensor:
        out = run()
        if call.layer.name == "layer":
            where = patches.positions(call, out, rows, seed=0)
            x = patches.inputs(call, out.shape, where)
            weight = call.weight.reshape(call.groups, -1, x.shape[3])
            got = torch.einsum("npgf,gof->npgo", x, weight).flatten(2)
            if call.bias is not None:
                got = got + call.bias
            seen.append((got, patches.outputs(call, out, where), where))
        return out

    net = Net().eval()
    images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    with watching(net, trace(net, shape), visit):
        net(images)
    ((got, want, where),) = seen
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    if rows == 12 and not isinstance(layer, nn.Linear):
        assert where.shape == (3, 4)
        assert all(len(set(row)) == 4 for row in where.tolist())
    else:
        assert where is None

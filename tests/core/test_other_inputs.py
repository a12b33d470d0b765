"""The laws over networks with several inputs, regions, sequences and volumes."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from pruneviz.errors import TraceError
from pruneviz.plan import Plan
from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake

NETWORKS = {}
RNG = torch.Generator().manual_seed(3)
IMAGE = torch.randn(1, 3, 32, 32, generator=RNG)
BOXES = torch.tensor([[1.0, 1.0, 9.0, 9.0], [2.0, 2.0, 30.0, 30.0], [5.0, 0.0, 20.0, 31.0]])


def network(inputs, free):
    def register(cls):
        NETWORKS[cls.__name__] = (cls, inputs, free)
        return cls

    return register


@network((IMAGE, torch.randn(1, 1, 32, 32, generator=RNG)), 4)
class TwoImages(nn.Module):
    """Colour and depth, each with its own stem, are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Conv2d(3, 8, 3, stride=2)
        self.depth = nn.Conv2d(1, 4, 3, stride=2)
        self.joined = nn.Conv2d(12, 6, 3)
        self.hidden = nn.Linear(6, 5)
        self.last = nn.Linear(5, 4)

    def forward(self, colour, depth):
        x = torch.cat([self.colour(colour).sigmoid(), self.depth(depth).relu()], 1)
        return self.last(self.hidden(self.joined(x).amax((2, 3))).relu())


@network({"image": IMAGE, "facts": torch.randn(1, 5, generator=RNG)}, 3)
class ImageAndFacts(nn.Module):
    """A vector scales and shifts the channels of a map (FiLM); inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.film = nn.Linear(5, 16)
        self.conv2 = nn.Conv2d(8, 6, 3)
        self.last = nn.Linear(6, 4)

    def forward(self, image, facts):
        scale, shift = self.film(facts)[:, :, None, None].chunk(2, dim=1)
        x = self.conv1(image).relu() * scale + shift
        return self.last(self.conv2(x).relu().mean((2, 3)))


@network(({"left": IMAGE, "right": IMAGE.flip(3)},), 3)
class DictOfImages(nn.Module):
    """One mapping as the only argument; a trunk shared by both images."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 6, 3, 2))
        self.compare = nn.Linear(6, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, images):
        a, b = (self.trunk(images[side]).mean((2, 3)) for side in ("left", "right"))
        return {"logits": self.last(self.compare((a - b).abs()).sigmoid())}


@network((IMAGE, torch.tensor([[0.0, 1.0, 1.0, 9.0, 9.0], [0.0, 2.0, 2.0, 30.0, 30.0]])), 3)
class Regions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.hidden = nn.Linear(6 * 9, 10)
        self.last = nn.Linear(10, 4)

    def forward(self, image, boxes):
        x = self.conv2(self.conv1(image).relu()).sigmoid()
        x = torchvision.ops.roi_align(x, boxes, (3, 3), spatial_scale=0.5)
        return self.last(self.hidden(x.flatten(1)).relu())


@network({"image": IMAGE, "boxes": BOXES}, 7)
class PyramidOfRegions(nn.Module):
    """As in Faster R-CNN: regions are read from the level of the pyramid that suits their size."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.b = nn.Conv2d(8, 6, 3, stride=2, padding=1)
        self.pyramid = torchvision.ops.FeaturePyramidNetwork([8, 6], 5)
        self.pool = torchvision.ops.MultiScaleRoIAlign(["a", "b"], 2, 2)
        self.hidden = nn.Linear(20, 7)
        self.last = nn.Linear(7, 4)

    def forward(self, image, boxes):
        a = self.a(image).relu()
        levels = self.pyramid(OrderedDict(a=a, b=self.b(a).relu()))
        x = self.pool(levels, [boxes], [image.shape[-2:]])
        return self.last(self.hidden(x.flatten(1)).relu())


@network(torch.randn(2, 1, 400, generator=RNG), 4)
class Waveform(nn.Module):
    """M5 (Dai et al. 2016), narrow: convolutions over a waveform."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 8, 8, 12, 12)
        parts: list[nn.Module] = []
        for i, (entering, leaving) in enumerate(pairwise(widths)):
            parts += [
                nn.Conv1d(entering, leaving, 9 if i == 0 else 3, stride=4 if i == 0 else 1),
                nn.BatchNorm1d(leaving),
                nn.ReLU(),
                nn.MaxPool1d(2),
            ]
        self.body = nn.Sequential(*parts)
        self.last = nn.Linear(12, 4)

    def forward(self, x):
        return self.last(F.avg_pool1d(self.body(x), 4).mean(2))


@network(torch.randn(2, 2, 64, generator=RNG), 6)
class GatedDilations(nn.Module):
    """WaveNet's blocks: dilated convolutions, gates from halves, residual and skip sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 6, 1)
        self.dilated = nn.ModuleList(nn.Conv1d(6, 10, 3, padding=d, dilation=d) for d in (1, 2))
        self.out = nn.ModuleList(nn.Conv1d(5, 6, 1) for _ in range(2))
        self.hidden = nn.Conv1d(6, 7, 1)
        self.last = nn.Conv1d(7, 4, 1)

    def forward(self, x):
        x, skip = self.stem(x), 0
        for dilated, out in zip(self.dilated, self.out, strict=True):
            a, b = dilated(x).chunk(2, 1)
            made = out(a.tanh() * b.sigmoid())
            x, skip = x + made, skip + made
        return self.last(self.hidden(F.relu(skip)).relu()).mean(2)


@network(torch.randn(2, 3, 40, generator=RNG), 5)
class SequenceCoder(nn.Module):
    """A transposed 1-D convolution, a depthwise one and a group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(3, 8, 4, stride=2)
        self.depthwise = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.GroupNorm(4, 8)
        self.deep = nn.Conv1d(8, 6, 3, padding=1)
        self.up = nn.ConvTranspose1d(6, 5, 4, stride=2)
        self.last = nn.Conv1d(8, 4, 1)
        self.skip = nn.Conv1d(3, 3, 1)

    def forward(self, x):
        y = self.deep(F.gelu(self.norm(self.depthwise(self.down(x)))))
        return self.last(torch.cat([self.up(y).relu(), self.skip(x)], 1)).mean(2)


@network(torch.randn(2, 1, 8, 8, 8, generator=RNG), 4)
class Volume(nn.Module):
    """A U-Net's two levels over a volume."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(1, 6, 3, padding=1)
        self.norm = nn.InstanceNorm3d(6, affine=True)
        self.deep = nn.Conv3d(6, 8, 3, padding=1)
        self.up = nn.ConvTranspose3d(8, 5, 2, stride=2)
        self.joined = nn.Conv3d(11, 6, 1)
        self.last = nn.Conv3d(6, 3, 1)

    def forward(self, x):
        a = F.leaky_relu(self.norm(self.down(x)))
        b = self.up(F.relu(self.deep(F.max_pool3d(a, 2))))
        return self.last(F.relu(self.joined(torch.cat([a, b], 1)))).mean((2, 3, 4))


@network(torch.randn(2, 3, 4, 12, 12, generator=RNG), 5)
class Clips(nn.Module):
    """Factorised and depthwise 3-D convolutions with squeeze and excitation (as in X3D)."""

    def __init__(self) -> None:
        super().__init__()
        self.space = nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2))
        self.time = nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0), groups=8)
        self.norm = nn.BatchNorm3d(8)
        self.squeeze = nn.Conv3d(8, 4, 1)
        self.excite = nn.Conv3d(4, 8, 1)
        self.tail = nn.Conv3d(8, 6, 1)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        x = F.silu(self.norm(self.time(self.space(x))))
        gate = self.excite(self.squeeze(F.adaptive_avg_pool3d(x, 1)).relu()).sigmoid()
        return self.last(F.adaptive_avg_pool3d(self.tail(x * gate), 1).flatten(1))


def small_video_network(name: str):
    def build() -> nn.Module:
        return torchvision.models.get_model(name, weights=None, num_classes=5)

    return build


CLIP = torch.randn(1, 3, 4, 24, 24, generator=RNG)
NETWORKS["r3d_18"] = (small_video_network("r3d_18"), CLIP, 20)
NETWORKS["r2plus1d_18"] = (small_video_network("r2plus1d_18"), CLIP, 37)


@pytest.mark.parametrize("name", NETWORKS)
def test_laws(name: str) -> None:
    make, inputs, free = NETWORKS[name]
    torch.manual_seed(0)
    model = shake(make())
    example = inputs[0] if isinstance(inputs, tuple) and isinstance(inputs[0], dict) else inputs
    graph = trace(model, example)
    assert {x.reason for x in graph.layers if not x.prunable} == {"feeds the network's output"}
    assert sum(x.prunable for x in graph.layers) == free
    for seed in range(1 if name.startswith("r") else 3):
        check_laws(model, graph, random_plan(graph, seed), inputs)


def test_shapes_serve_as_well_as_tensors() -> None:
    make, inputs, _ = NETWORKS["TwoImages"]
    model = make().eval()
    assert trace(model, [(3, 32, 32), (1, 32, 32)]).digest == trace(model, inputs).digest
    make, inputs, _ = NETWORKS["DictOfImages"]
    graph = trace(make().eval(), {"left": (3, 32, 32), "right": (3, 32, 32)})
    assert graph.handed_over == "dict"
    assert [one.name for one in graph.inputs] == ["left", "right"]
    assert trace(NETWORKS["Volume"][0](), (1, 8, 8, 8)).input_shape == (1, 8, 8, 8)
    one_clip = NETWORKS["Volume"][1][0]
    assert trace(NETWORKS["Volume"][0](), one_clip).input_shape == (1, 8, 8, 8)


def test_a_pruned_network_takes_what_the_whole_one_did() -> None:
    make, inputs, _ = NETWORKS["PyramidOfRegions"]
    model = make().eval()
    graph = trace(model, inputs)
    small = prune(model, graph, Plan(graph).drop("pyramid.layer_blocks.0.0", [0, 3]))
    assert small(**inputs).shape == (3, 4)
    assert small.hidden.in_features == 12


def test_inputs_that_do_not_fit_are_named() -> None:
    make = NETWORKS["TwoImages"][0]
    with pytest.raises(TraceError, match="does not run on inputs of the shapes 3×32×32, 2×32×32"):
        trace(make(), [(3, 32, 32), (2, 32, 32)])
    with pytest.raises(TraceError, match="empty mapping"):
        trace(make(), {})
    with pytest.raises(TraceError, match="shape"):
        trace(make(), [(3, 32, 32), "depth"])

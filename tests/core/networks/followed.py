"""Networks that are hard to follow, and are followed all the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

from tests.core.networks.registry import head, network


@network
class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2)
        self.head = head(12)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.head(torch.sigmoid(self.conv2(x)))  # sigmoid(0) is not 0


@network
class FunctionalInPlace(nn.Module):
    """Weights as bare parameters, functional calls, in-place arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(8, 3, 3, 3) * 0.2)
        self.b1 = nn.Parameter(torch.randn(8))
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 6, 1)
        self.scale = nn.Parameter(torch.rand(6, 1, 1) + 0.5)
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        x = F.conv2d(x, self.w1, self.b1, padding=1)
        x = F.silu(x, inplace=True)
        y = self.conv2(x)
        y += x
        y.mul_(0.5).add_(1.0)
        y = self.conv3(y)
        y *= self.scale
        return F.linear(y.mean((2, 3)), self.linear.weight, self.linear.bias)


@network
class SharedModules(nn.Module):
    """The same convolution twice: its input and output channels are the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.PReLU(8)
        self.twin = nn.Conv2d(8, 8, 3, padding=1)
        self.twin.weight = self.shared.weight
        self.head = head(8)

    def forward(self, x):
        x = self.act(self.stem(x))
        x = self.act(self.shared(x))
        x = self.act(self.shared(x))
        return self.head(self.twin(x))


@network
class GroupNormNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.norm1 = nn.GroupNorm(8, 16)
        self.conv2 = nn.Conv2d(16, 12, 3, padding=1)
        self.norm2 = nn.GroupNorm(2, 12)
        self.conv3 = nn.Conv2d(12, 10, 3, padding=1)
        self.norm3 = nn.InstanceNorm2d(10, affine=True)
        self.head = head(10)

    def forward(self, x):
        x = F.gelu(self.norm1(self.conv1(x)))
        x = F.elu(self.norm2(self.conv2(x)))
        return self.head(F.relu(self.norm3(self.conv3(x))))


@network
class Transposed(nn.Module):
    """Encoder and decoder with a skip connection and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.up_bn = nn.BatchNorm2d(6)
        self.depthwise = nn.ConvTranspose2d(14, 14, 2, stride=2, groups=14)
        self.last = nn.Conv2d(14, 5, 1)
        self.head = head(5)

    def forward(self, x):
        a = F.relu(self.down(x))
        b = F.relu(self.deep(a))
        c = F.leaky_relu(self.up_bn(self.up(b)))
        d = torch.cat([a, c], dim=1)
        d = F.interpolate(self.depthwise(d), scale_factor=0.5)
        return self.head(self.last(d))


@network
class GroupedTransposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 8, 2, stride=2, groups=4)
        self.head = head(8)

    def forward(self, x):
        return self.head(F.relu(self.up(F.relu(self.conv1(x)))))


@network
class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(12)
        self.reduce = nn.Linear(12, 6)
        self.expand = nn.Linear(6, 12)
        self.conv2 = nn.Conv2d(12, 8, 3)
        self.head = head(8)

    def forward(self, x):
        x = F.hardswish(self.bn1(self.conv1(x)))
        b, c, _, _ = x.size()
        s = x.mean(dim=(2, 3))
        s = torch.sigmoid(self.expand(F.relu(self.reduce(s)))).view(b, c, 1, 1)
        return self.head(self.conv2(x * s))


@network
class TiedBranches(nn.Module):
    """Branches that are added, then concatenated, and read again by several layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 4, 1)
        self.c = nn.Conv2d(12, 12, 3, padding=1)
        self.d = nn.Conv2d(24, 6, 1)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.stem(x))
        y = x + self.a(x)
        z = torch.cat((y, self.b(y)), 1)
        w = F.tanh(self.c(z)) + z
        return self.head(self.d(torch.cat([w, z], dim=1)))


@network
class ChunkAndShuffle(nn.Module):
    """Half of the channels passes, the other is worked on, then both are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.inner1 = nn.Conv2d(8, 10, 1)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.inner2 = nn.Conv2d(10, 8, 1)
        self.head = head(16)

    def forward(self, x):
        x = F.relu(self.stem(x))
        kept, worked = x.chunk(2, dim=1)
        worked = self.inner2(self.depthwise(F.relu(self.inner1(worked))))
        x = torch.cat((kept, worked), dim=1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return self.head(x)


@network
class GroupedShuffle(nn.Module):
    """Grouped convolutions with a shuffle between them (as in ShuffleNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.g1 = nn.Conv2d(12, 24, 1, groups=3)
        self.shuffle = nn.ChannelShuffle(3)
        self.dw = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.g2 = nn.Conv2d(24, 12, 1, groups=3)
        self.head = head(12)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.head(F.relu(self.g2(self.dw(self.shuffle(F.relu(self.g1(x)))))))


@network
class FlattenIntoTwo(nn.Module):
    """One flattened map read by two linear layers, of which one gates the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2)
        self.left = nn.Linear(8 * 9, 10)
        self.right = nn.Linear(8 * 9, 10)
        self.norm = nn.BatchNorm1d(10)
        self.last = nn.Linear(10, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = x.view(x.size(0), -1)
        return self.last(self.norm(F.relu(self.left(x)) * torch.sigmoid(self.right(x))))


@network
class PaddedShortcut(nn.Module):
    """The CIFAR ResNet's shortcut as found in the wild: a fixed number of zero channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.head = head(16)

    def forward(self, x):
        x = F.relu(self.stem(x))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4), "constant", 0)
        return self.head(F.relu(self.bn(self.conv(x)) + shortcut))


@network
class ChannelsLast(nn.Module):
    """Linear layers on permuted maps and a layer scale, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.dw = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.LayerNorm(8)
        self.up = nn.Linear(8, 20)
        self.down = nn.Linear(20, 8)
        self.gamma = nn.Parameter(torch.rand(8) + 0.5)
        self.head = head(8)

    def forward(self, x):
        x = self.stem(x)
        y = self.dw(x).permute(0, 2, 3, 1)
        y = self.down(F.gelu(self.up(self.norm(y)))) * self.gamma
        return self.head(x + y.permute(0, 3, 1, 2))


@network
class PixelShuffled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.conv3 = nn.Conv2d(4, 6, 3)
        self.head = head(6)

    def forward(self, x):
        x = F.pixel_shuffle(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.head(F.relu(self.conv3(self.bn(x))))


@network
class SpatialGate(nn.Module):
    """A one-channel map that is multiplied with all channels; a gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 1, 1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = x * torch.sigmoid(self.gate(x))
        return self.head(F.glu(self.conv2(x), dim=1))


@network
class SizesInForward(nn.Module):
    """Halves by slicing with sizes read off the tensor; squeeze; stacked branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 6, 3, padding=1)
        self.linear = nn.Linear(6, 4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        half = x.shape[1] // 2
        a, b = self.conv2(x[:, :half]), self.conv3(x[:, half:])
        x = torch.stack([a, b], dim=2).amax(dim=2)
        return self.linear(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))

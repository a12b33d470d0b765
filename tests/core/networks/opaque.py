"""Networks with something that cannot be followed: the channels concerned stay."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

from tests.core.networks.registry import head, network


@network
class Fourier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
        self.head = head(8)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.head(self.conv3(torch.fft.fft2(x).abs()))


@network
class FixedView(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 8, 5)
        self.linear1 = nn.Linear(8 * 8 * 8, 10)
        self.linear2 = nn.Linear(10, 4)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = x.view(-1, 8 * 8 * 8)
        return self.linear2(F.relu(self.linear1(x)))


@network
class FixedSplit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.Conv2d(5, 6, 3)
        self.head = head(9)

    def forward(self, x):
        a, b = torch.split(F.relu(self.conv1(x)), [3, 5], dim=1)
        return self.head(torch.cat([a[:, :, 1:-1, 1:-1], self.conv2(b)], 1))


@network
class WrittenInPlace(nn.Module):
    """Concatenation by writing into slices of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(3, 4, 3, padding=1)
        self.c = nn.Conv2d(8, 6, 3)
        self.d = nn.Conv2d(6, 6, 3)
        self.head = head(6)

    def forward(self, x):
        both = x.new_zeros(x.shape[0], 8, x.shape[2], x.shape[3])
        both[:, :4] = self.a(x)
        both[:, 4:] = self.b(x)
        return self.head(self.d(F.relu(self.c(both))))


@network
class ChannelStatistics(nn.Module):
    """Means over channels (as in CBAM) and a softmax over them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(2, 1, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.conv3 = nn.Conv2d(6, 6, 3, padding=1)
        self.conv4 = nn.Conv2d(6, 5, 3, padding=1)
        self.head = head(5)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        pooled = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], dim=1)
        x = self.conv2(x * torch.sigmoid(self.gate(pooled)))
        return self.head(self.conv4(F.relu(self.conv3(torch.softmax(x, dim=1)))))


@network
class WeightNormed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3))
        self.conv3 = nn.Conv2d(8, 8, 3)
        self.conv4 = nn.Conv2d(8, 8, 3)
        self.head = head(8)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.head(F.relu(self.conv4(F.relu(self.conv3(x)))))


@network
class ConstantOfFixedSize(nn.Module):
    """A tensor that is no buffer, and zeros that fill up to a fixed width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.offset = torch.randn(1, 8, 1, 1)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.conv3 = nn.Conv2d(12, 6, 3, padding=1)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.conv1(x)) + self.offset
        y = self.conv2(x)
        fill = torch.zeros(x.size(0), 12 - x.size(1), x.size(2), x.size(3))
        return self.head(F.relu(self.conv3(y + torch.cat([x, fill], dim=1))))


@network
class NonLocal(nn.Module):
    """Attention between positions inside a convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, stride=2)
        self.query = nn.Conv2d(8, 4, 1)
        self.key = nn.Conv2d(8, 4, 1)
        self.value = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 6, 3)
        self.tail = nn.Conv2d(6, 6, 3)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.stem(x))
        n, c, h, w = x.shape
        q = self.query(x).flatten(2).transpose(1, 2)
        k = self.key(x).flatten(2)
        v = self.value(x).flatten(2).transpose(1, 2)
        y = torch.softmax(q @ k, -1) @ v
        return self.head(self.tail(F.relu(self.last(x + y.transpose(1, 2).view(n, c, h, w)))))


class Scripted(nn.Module):
    """A scripted function in the middle: its inside cannot be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.act = torch.jit.script(nn.Sequential(nn.ReLU()))
        self.conv2 = nn.Conv2d(8, 6, 3)
        self.head = head(6)

    def forward(self, x):
        return self.head(F.relu(self.conv2(self.act(self.conv1(x)))))


@network
class ThroughNumpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.Conv2d(8, 6, 3)
        self.head = head(6)

    def forward(self, x):
        x = torch.from_numpy(self.conv1(x).detach().numpy().copy())
        return self.head(F.relu(self.conv2(x)))


@network
class Counted(nn.Module):
    """Divides by the number of channels: fewer channels, other values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.Conv2d(8, 6, 3)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = x / x.shape[1] ** 0.5
        x = F.relu(self.conv2(x)) * (1 / x.shape[2])
        return self.head(x)


class SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * (s + x * s * (1 - s))


@network
class CustomFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.conv2 = nn.Conv2d(8, 6, 3)
        self.head = head(6)

    def forward(self, x):
        x = SwishFunction.apply(self.conv1(x))
        return self.head(torch.utils.checkpoint.checkpoint(self.conv2, x, use_reentrant=False))

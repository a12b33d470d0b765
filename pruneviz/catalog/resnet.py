"""The CIFAR form of ResNet with option-A (parameter-free) shortcuts.

He, Zhang, Ren & Sun (2015), *Deep Residual Learning for Image Recognition*, section 4.2: three
stages of 16, 32 and 64 filters, depth ``6 n + 2``. The names of the parameters are those of the
public PyTorch weights of these networks, so that these load without renaming.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn


class ZeroPadShortcut(nn.Module):
    """Option A: halve the image by taking every second pixel, and add channels of zeros.

    The zeros are buffers of shape (1, k, 1, 1) put before and after the channels of the input.
    They are not parameters and not part of the state dict. As they are ordinary tensors, whatever
    removes channels from a tensor can remove them, and the shortcut stays in step with the block
    beside it.
    """

    before: torch.Tensor
    after: torch.Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.register_buffer("before", torch.zeros(1, before, 1, 1), persistent=False)
        self.register_buffer("after", torch.zeros(1, after, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, before + C + after, H / 2, W / 2)."""
        x = x[:, :, ::2, ::2]
        n, _, height, width = x.shape
        before = self.before.expand(n, -1, height, width)
        after = self.after.expand(n, -1, height, width)
        return torch.cat([before, x, after], 1)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm, and a shortcut around them."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            added = channels - in_channels
            self.shortcut = ZeroPadShortcut(added // 2, added - added // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, channels, H / stride, W / stride)."""
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet for 32×32 images: a 3×3 stem, three stages of ``blocks`` blocks, one linear layer."""

    def __init__(self, blocks: int, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, stride=1)
        self.layer2 = _stage(16, 32, blocks, stride=2)
        self.layer3 = _stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) -> (N, num_classes) logits."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, stride)
    return nn.Sequential(first, *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)))


resnet20 = partial(ResNet, 3)
resnet32 = partial(ResNet, 5)
resnet44 = partial(ResNet, 7)
resnet56 = partial(ResNet, 9)
resnet110 = partial(ResNet, 18)

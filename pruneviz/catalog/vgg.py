"""The CIFAR form of VGG-16 with batch norm, narrowed.

Simonyan & Zisserman (2014), *Very Deep Convolutional Networks for Large-Scale Image Recognition*,
configuration D, with batch norm after each convolution. Five poolings leave one pixel of a 32×32
image, so one linear layer is the whole classifier.
"""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG(nn.Module):
    """VGG for 32×32 images: 3×3 convolutions, batch norm and ReLU; each stage ends in a pooling."""

    def __init__(self, num_classes: int = 10, width: float = 0.25) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in STAGES:
            for full in stage:
                out = max(8, round(full * width / 8) * 8)
                layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
                channels = out
            layers += [nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) -> (N, num_classes) logits."""
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        return self.classifier(x)  # type: ignore[no-any-return]


def vgg16(num_classes: int = 10) -> VGG:
    """VGG-16 with batch norm, a quarter as wide as the original: 16 to 128 filters a layer."""
    return VGG(num_classes)

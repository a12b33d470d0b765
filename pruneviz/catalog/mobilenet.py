"""The CIFAR form of MobileNetV2, narrowed.

Sandler, Howard, Zhu, Zhmoginov & Chen (2018), *MobileNetV2: Inverted Residuals and Linear
Bottlenecks*. The blocks are torchvision's; for 32×32 images the stem and the first stages keep
their resolution, so that the image shrinks three times instead of five.
"""

from __future__ import annotations

from torchvision.models import MobileNetV2

# expansion, channels at full width, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 1),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(num_classes: int = 10, width: float = 0.5) -> MobileNetV2:
    """MobileNetV2 for 32×32 images, half as wide as the original."""
    settings = [list(stage) for stage in STAGES]
    model = MobileNetV2(num_classes, width_mult=width, inverted_residual_setting=settings)
    model.features[0][0].stride = (1, 1)
    return model

"""The bundled data set: scikit-learn's 1,797 handwritten digits, as 32×32 images.

Alpaydin & Kaynak (1998), *Optical Recognition of Handwritten Digits*, UCI repository; the part
that scikit-learn ships, 8×8 pixels of 0..16.
"""

from __future__ import annotations

import torch

from pruneviz.data import DataSet, ImageSet, stratified_split

VAL_IMAGES = 500
SPLIT_SEED = 0


def load_digits() -> DataSet:
    """Digits 0 to 9: (3, 32, 32) uint8, 1,297 training and 500 validation images, no test split.

    The 8×8 images are enlarged bilinearly and repeated in three equal channels, so that networks
    for colour images accept them. The split is stratified and always the same.
    """
    from sklearn.datasets import load_digits as bundled

    pixels, targets = bundled(return_X_y=True)
    small = torch.from_numpy(pixels).to(torch.float32).view(-1, 1, 8, 8)
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear")
    images = (large * (255 / 16)).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
    every = ImageSet(images.contiguous(), torch.from_numpy(targets).to(torch.int64))
    train, val = stratified_split(every.labels, VAL_IMAGES, seed=SPLIT_SEED)
    return DataSet(
        name="digits",
        train=every.subset(train),
        val=every.subset(val),
        test=None,
        classes=tuple(str(digit) for digit in range(10)),
        input_shape=(3, 32, 32),
        source={"name": "digits", "options": {}},
        augment="shift-rotate",
    )

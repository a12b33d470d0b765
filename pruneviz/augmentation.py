"""Augmentation of a whole batch of images at once."""

from __future__ import annotations

import math

import torch

AUGMENTATIONS = ("crop", "crop-flip", "shift-rotate")


def random_crop(
    images: torch.Tensor, generator: torch.Generator, *, padding: int | None = None, flip: bool
) -> torch.Tensor:
    """Pad each image with black, cut a random window of the old size, and perhaps mirror it.

    One gather for the whole batch (N, C, H, W): row and column indices of each image are drawn
    first, and a mirrored image reads its columns backwards. The padding is an eighth of the image
    unless given: 4 pixels for 32×32, as in He et al. (2015).
    """
    n, _, height, width = images.shape
    pad = max(1, min(height, width) // 8) if padding is None else padding
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    top, left = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = torch.arange(width).expand(n, -1)
    if flip:
        mirrored = torch.randint(0, 2, (n, 1), generator=generator, dtype=torch.bool)
        columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = rows.to(images.device), (left + columns).to(images.device)
    which = torch.arange(n, device=images.device)[:, None, None]
    cut = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2)


def random_shift_rotate(
    x: torch.Tensor, generator: torch.Generator, *, shift: float = 0.08, degrees: float = 12.0
) -> torch.Tensor:
    """Shift each image by up to ``shift`` of its size and turn it by up to ``degrees``.

    Float images (N, C, H, W), sampled bilinearly; the border is repeated. Nothing is mirrored: for
    digits and letters, which a mirror would turn into something else.
    """
    draw = torch.rand(3, len(x), generator=generator) * 2 - 1
    angle = draw[0] * math.radians(degrees)
    # In grid coordinates an image spans -1..1, so a fraction of its size counts twice.
    move_x, move_y = draw[1] * 2 * shift, draw[2] * 2 * shift
    top = torch.stack([angle.cos(), -angle.sin(), move_x], 1)
    bottom = torch.stack([angle.sin(), angle.cos(), move_y], 1)
    theta = torch.stack([top, bottom], 1).to(x.device)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)

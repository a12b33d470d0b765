"""Small pictures from arrays: kernels, activations, images with a region framed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

MOSAIC = 64
"""Kernels shown at most."""


def _up(array: Image, times: int) -> Image:
    return array.repeat(times, axis=0).repeat(times, axis=1)


def enlarged(image: Image, side: int = 128) -> Image:
    """Repeat pixels until the picture is at least `side` wide, so that it is not blurred."""
    return _up(image, max(1, -(-side // image.shape[1])))


def diverging(values: Floats, limit: float) -> Image:
    """Colour (H, W) values: orange positive, blue negative, white zero."""
    share = np.clip(values / limit if limit else values * 0, -1, 1)[..., None]
    red, blue, white = np.array([213, 94, 0]), np.array([0, 114, 178]), np.array([255, 255, 255])
    out = np.where(share >= 0, white + (red - white) * share, white + (blue - white) * -share)
    coloured: Image = out.astype(np.uint8)
    return coloured


def kernels(weight: Floats) -> Image:
    """Draw a filter's kernels (inputs, H, W): in colour for three inputs, else as a mosaic."""
    limit = float(np.abs(weight).max())
    if weight.shape[0] == 3:
        shown = weight.transpose(1, 2, 0) / (2 * limit or 1.0) + 0.5
        return enlarged((255 * shown).astype(np.uint8), 200)
    part = weight[:MOSAIC]
    columns = int(np.ceil(np.sqrt(len(part))))
    rows = -(-len(part) // columns)
    height, width = part.shape[1:]
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, 3), 128, np.uint8)
    for i, kernel in enumerate(part):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = diverging(kernel, limit)
    return enlarged(sheet, 400)


def heat(grid: Floats, side: int) -> Image:
    """Draw an activation (H, W) from black (none) to white (its own maximum)."""
    peak = float(grid.max())
    share = grid / peak if peak > 0 else np.zeros_like(grid)
    grey = (255 * share).astype(np.uint8)[..., None].repeat(3, axis=2)
    return enlarged(grey, max(128, side))


def framed(image: Image, grid: Floats) -> Image:
    """Draw an image (H, W, 3) with a frame around where the activation (h, w) is highest."""
    times = max(1, -(-128 // image.shape[1]))
    out = _up(image, times).copy()
    if not grid.size or grid.max() <= 0:
        return out
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    height, width = out.shape[0] / grid.shape[0], out.shape[1] / grid.shape[1]
    # The cell itself may be a pixel wide; a frame of at least a fifth of the image can be seen.
    half_h, half_w = max(height, out.shape[0] / 5) / 2, max(width, out.shape[1] / 5) / 2
    middle_y, middle_x = (row + 0.5) * height, (column + 0.5) * width
    top, bottom = int(max(0, middle_y - half_h)), int(min(out.shape[0] - 1, middle_y + half_h))
    left, right = int(max(0, middle_x - half_w)), int(min(out.shape[1] - 1, middle_x + half_w))
    thick = max(1, out.shape[1] // 64)
    colour = np.array([230, 159, 0], np.uint8)
    out[top : top + thick, left : right + 1] = colour
    out[bottom - thick + 1 : bottom + 1, left : right + 1] = colour
    out[top : bottom + 1, left : left + thick] = colour
    out[top : bottom + 1, right - thick + 1 : right + 1] = colour
    return out

"""One image file of any usual kind to uint8 RGB of the wanted size."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
)

SMALL, LARGE = 32, 224
"""The sizes that the catalogue's networks were trained for: CIFAR's and ImageNet's."""

MARGIN = 256 / 224
"""Large images are resized to this much more than the crop, as for ImageNet's validation."""

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}

Pixels = npt.NDArray[np.uint8]


def decode(content: bytes, size: int) -> Pixels:
    """An image file as uint8 of shape (3, size, size).

    Turned as its EXIF says, converted to RGB (see `to_rgb`), the shorter side resized, and the
    centre cut out. Raises what Pillow raises where the file is broken, no image, or absurdly large.
    """
    with Image.open(io.BytesIO(content)) as image:
        target = size if size < LARGE else round(size * MARGIN)
        if image.format == "JPEG":
            image.draft(None, (2 * target, 2 * target))  # decodes large photographs smaller
        image.load()
        rgb = to_rgb(ImageOps.exif_transpose(image))
    scale = target / min(rgb.size)
    if scale != 1:
        width, height = (max(target, round(side * scale)) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (rgb.width - size) // 2, (rgb.height - size) // 2
    pixels = np.asarray(rgb.crop((left, top, left + size, top + size)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow's as RGB with eight bits a channel.

    Transparency is laid on white; 16-bit grey keeps its upper eight bits; floating point counts as
    0..1, or as 0..255 where a value is above 1; palettes, grey, CMYK and the like are converted.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.int64)
        if image.mode != "I" or values.max(initial=0) > 255:
            values = values >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        numbers = np.nan_to_num(np.asarray(image, dtype=np.float64))
        if numbers.max(initial=0) <= 1:
            numbers = numbers * 255
        return Image.fromarray(np.clip(numbers.round(), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def shorter_side(content: bytes) -> int | None:
    """The shorter side of an image in pixels, from its head alone; None where it is no image."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return min(image.size)
    except Exception:  # Pillow's plugins raise nearly anything on damaged files
        return None

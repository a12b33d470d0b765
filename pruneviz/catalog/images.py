"""Decoding an image file of any usual kind to uint8 RGB of a given size."""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pruneviz.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
)

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Formats that are opened, whatever the file's name: for an EPS, Pillow would start Ghostscript."""

MAX_PIXELS = 2**26
"""The most pixels of an image (8192 × 8192); of a JPEG, after decoding at a smaller scale."""

MAX_ASPECT = 4
"""Only the middle of a longer image is resized; all of it would take too much memory."""

SMALL, LARGE = 32, 224
"""The sizes that the catalogue's networks were trained for: CIFAR's and ImageNet's."""

MARGIN = 256 / 224
"""Large images are resized to this much more than the crop, as for ImageNet's validation."""

_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}

_MANY = 2**24
_one_at_a_time = threading.Lock()
"""Held while an image of more than `_MANY` pixels is decoded: several at once would add up."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scaling:
    """How an image is scaled: the shorter side to `resize`, then the centre is cropped."""

    resize: int
    interpolation: str = "bilinear"

    @classmethod
    def usual(cls, size: int) -> Scaling:
        """The usual scaling: small images as they are, large ones with a margin around the crop."""
        return cls(size if size < LARGE else round(size * MARGIN))


def decode(content: bytes, size: int, scaling: Scaling | None = None) -> Pixels:
    """An image file as uint8 of shape (3, size, size).

    It is turned as its EXIF says and converted to RGB (see `to_rgb`); the shorter side is resized
    and the centre cropped. Raises `DataError` if it has more than `MAX_PIXELS`, and Pillow's errors
    if the file is broken or not an image.
    """
    scaling = Scaling.usual(size) if scaling is None else scaling
    target = scaling.resize
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.format in ("JPEG", "MPO"):
            # Decodes large photographs smaller; a progressive one is held whole all the same.
            whole = image.size
            image.draft(None, (2 * target, 2 * target))
            pixels = _pixels(whole if image.info.get("progressive") else image.size)
        else:
            pixels = _pixels(image.size)
        with _one_at_a_time if pixels > _MANY else nullcontext():
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _cut(to_rgb(_smaller(_middle(image), target)), scaling, size)


def _pixels(size: tuple[int, int]) -> int:
    """How many pixels an image has. Raises `DataError` if there are too many."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"An image may have {MAX_PIXELS:,} pixels, but this one has {width:,} × {height:,}; "
            "save it smaller."
        )
    return width * height


def _middle(image: Image.Image) -> Image.Image:
    """The image, or its middle if it is more than `MAX_ASPECT` times as long as wide."""
    short = min(image.size)
    width, height = (min(side, MAX_ASPECT * short) for side in image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _smaller(image: Image.Image, target: int) -> Image.Image:
    """A huge image averaged over squares, as the JPEG decoder does: the next steps copy it."""
    factor = min(image.size) // (2 * target)
    huge = image.width * image.height > _MANY and image.mode in ("L", "LA", "RGB", "RGBA", "CMYK")
    return image.reduce(factor) if huge and factor > 1 else image


def _cut(rgb: Image.Image, scaling: Scaling, size: int) -> Pixels:
    """Resize the shorter side, and crop `size` × `size` from the middle."""
    target = scaling.resize
    scale = target / min(rgb.size)
    if scale != 1:
        width, height = (max(target, round(side * scale)) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling[scaling.interpolation.upper()])
    left, top = (rgb.width - size) // 2, (rgb.height - size) // 2
    pixels = np.asarray(rgb.crop((left, top, left + size, top + size)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to RGB with eight bits per channel.

    Transparency is laid on white; 16-bit grey keeps its upper eight bits; floating point counts as
    0..1, or as 0..255 where a value is above 1; palettes, grey, CMYK and the like are converted.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode != "I" or values.max(initial=0) > 255:
            values = values >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        numbers = np.nan_to_num(np.asarray(image))
        if numbers.max(initial=0) <= 1:
            numbers *= 255
        np.clip(numbers, 0, 255, out=numbers).round(out=numbers)
        return Image.fromarray(numbers.astype(np.uint8)).convert("RGB")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def shorter_side(content: bytes) -> int | None:
    """The shorter side of an image in pixels, from its header only; None if it is not an image."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return min(image.size)
    except Exception:  # Pillow's plugins raise nearly anything on damaged files
        return None

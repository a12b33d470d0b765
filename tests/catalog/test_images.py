"""Image files of every kind to uint8 RGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pruneviz.catalog.images import decode, shorter_side, to_rgb


def file(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(image):
    return to_rgb(image).getpixel((0, 0))


def test_the_usual_case_is_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    decoded = decode(file(Image.fromarray(pixels)), 32)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (50, 255), (50, 50, 50)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("I;16", 0xFFFF, (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("I", 200, (200, 200, 200)),
        ("I", 0x8000, (128, 128, 128)),
        ("F", 0.5, (128, 128, 128)),
        ("F", 200.0, (200, 200, 200)),
        ("F", float("nan"), (0, 0, 0)),
    ],
)
def test_modes(mode, value, expected):
    assert pixel(Image.new(mode, (4, 4), value)) == expected


def test_palettes_with_and_without_transparency():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    content = file(image)
    with Image.open(io.BytesIO(content)) as read:
        assert read.mode == "P"
        assert pixel(read) == (200, 100, 50)
    with Image.open(io.BytesIO(file(image, transparency=1))) as read:
        assert pixel(read) == (255, 255, 255)


def test_one_colour_that_counts_as_transparent():
    content = file(Image.new("RGB", (4, 4), (9, 8, 7)), transparency=(9, 8, 7))
    with Image.open(io.BytesIO(content)) as read:
        assert pixel(read) == (255, 255, 255)


def test_sixteen_bit_files():
    content = file(Image.fromarray(np.full((8, 8), 0x4000, np.uint16)))
    assert (decode(content, 8) == 0x40).all()
    content = file(Image.fromarray(np.full((8, 8), 0x4000, np.uint16)), "TIFF")
    assert (decode(content, 8) == 0x40).all()


def test_the_camera_held_upright():
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 20, 20))  # blue on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    decoded = decode(file(image, exif=exif), 20)
    assert decoded.shape == (3, 20, 20)
    assert decoded[2, 2].mean() > 250 > 5 > decoded[2, -2].mean()


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (100, 33), (8, 500), (1, 1), (31, 47)])
@pytest.mark.parametrize("size", [32, 33])
def test_the_shorter_side_is_resized_and_the_centre_cut_out(shape, size):
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    image[height // 3 : height - height // 3, width // 3 : width - width // 3] = 255
    decoded = decode(file(Image.fromarray(image)), size)
    assert decoded.shape == (3, size, size)
    centre = decoded[:, size // 2, size // 2]
    assert (centre == 255).all()


def test_large_images_keep_a_margin_as_for_imagenet():
    image = np.zeros((256, 256, 3), np.uint8)
    image[16:-16, 16:-16] = 255
    assert (decode(file(Image.fromarray(image)), 224) == 255).all()


def test_large_photographs_are_decoded_smaller_first():
    ramp = np.linspace(0, 255, 1600, dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(ramp, (1600, 1600)).copy()).convert("RGB")
    decoded = decode(file(image, "JPEG", quality=95), 32)
    expected = np.linspace(4, 251, 32)
    np.testing.assert_allclose(decoded[0, 16], expected, atol=4)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(20)])
def test_what_is_no_image(content):
    with pytest.raises(Exception):  # noqa: B017, PT011 - Pillow's own kinds, all counted alike
        decode(content, 32)
    assert shorter_side(content) is None


def test_truncated_images_are_broken():
    content = file(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        decode(content[: len(content) // 2], 32)


def test_shorter_side():
    assert shorter_side(file(Image.new("RGB", (40, 20)))) == 20

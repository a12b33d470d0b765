"""Masks over their images."""

from __future__ import annotations

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.figures import masks_figure
from pruneviz.figures.masks import VEIL

IMAGE = np.full((1, 3, 2, 2), 100, np.uint8)
LINE = np.array([[[0, 1], [0, 0]]])
CLASSES = ["ground", "line", "dot"]


def test_a_class_veils_its_pixels_and_the_ground_shows_the_image() -> None:
    figure = masks_figure(IMAGE, {"truth": LINE}, CLASSES)
    image, mask, legend = figure.data
    assert np.asarray(image.z).tolist() == [[[100] * 3] * 2] * 2
    blue = (0x00, 0x72, 0xB2)
    mixed = [int(100 * (1 - VEIL) + part * VEIL) for part in blue]
    assert np.asarray(mask.z).tolist() == [[[100] * 3, mixed], [[100] * 3] * 2]
    assert np.asarray(mask.customdata)[..., 0].tolist() == [["ground", "line"], ["ground"] * 2]
    assert legend.name == "line", "no class that is nowhere"
    assert legend.marker.color == "rgb(0,114,178)"
    assert [a.text for a in figure.layout.annotations] == ["image", "truth"]


def test_every_class_has_a_colour_of_its_own() -> None:
    many = np.arange(32).reshape(1, 4, 8)
    images = np.zeros((1, 3, 4, 8), np.uint8)
    for dark in (False, True):
        figure = masks_figure(images, {"all": many}, [str(k) for k in range(32)], dark=dark)
        colours = [trace.marker.color for trace in figure.data[2:]]
        assert len(set(colours)) == len(colours) == 31


def test_a_row_an_image_and_a_column_a_mask() -> None:
    images, masks = IMAGE.repeat(3, 0), LINE.repeat(3, 0)
    figure = masks_figure(images, {"truth": masks, "cut": masks * 2}, CLASSES)
    assert sum(trace.type == "image" for trace in figure.data) == 9
    assert figure.layout.height > masks_figure(IMAGE, {"truth": LINE}, CLASSES).layout.height
    assert masks_figure(IMAGE, {"truth": LINE}, CLASSES, height=333).layout.height == 333


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (LINE[:, :1], r"one class a pixel, here \(1, 2, 2\), but 'cut' is \(1, 1, 2\)"),
        (LINE * 3, "numbers of 3 classes, but 'cut' has 0 to 3"),
        (LINE - 1, "numbers of 3 classes, but 'cut' has -1 to 0"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: np.ndarray, sentence: str) -> None:
    with pytest.raises(pv.errors.InvalidValueError, match=sentence):
        masks_figure(IMAGE, {"cut": mask}, CLASSES)

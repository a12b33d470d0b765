"""What networks segment: images, and over each the mask that a network gives it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from pruneviz.errors import InvalidValueError
from pruneviz.figures import style, words

ROW = 120
"""Pixels of one row on the screen."""
VEIL = 0.72
"""How much of a pixel is its class's colour; the rest is the image."""


def masks_figure(
    images: npt.NDArray[np.uint8],
    masks: Mapping[str, npt.NDArray[np.int64]],
    classes: Sequence[str],
    *,
    dark: bool = False,
    height: int | None = None,
) -> Any:
    """Draw images and masks side by side: a row an image, a column a mask.

    The first class is the ground: its pixels show the image. Pointing at a pixel names its class.

    Args:
        images: (N, 3, H, W), 0..255.
        masks: Name of a column to classes (N, H, W): the true masks, each network's
            `Evaluation.predictions`.
        classes: What the numbers in the masks mean.
        dark: For a dark page.
        height: In pixels; by default by the number of images.

    Raises:
        InvalidValueError: Masks of another size or number than the images, or with other classes.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((1, 3, 2, 2), np.uint8)
        >>> figure = masks_figure(image, {"truth": np.eye(2, dtype=int)[None]}, ["ground", "line"])
        >>> len(figure.data)  # the image, its mask, and the legend of one class
        3
    """
    for name, mask in masks.items():
        if mask.shape != (len(images), *images.shape[2:]):
            raise InvalidValueError(
                f"Masks are one class a pixel, here {(len(images), *images.shape[2:])}, but "
                f"'{name}' is {mask.shape}."
            )
        if mask.size and not 0 <= mask.min() <= mask.max() < len(classes):
            raise InvalidValueError(
                f"Masks hold the numbers of {len(classes)} classes, but '{name}' has "
                f"{mask.min()} to {mask.max()}."
            )
    columns = ["image", *masks]
    figure = make_subplots(
        len(images), len(columns), column_titles=columns, vertical_spacing=0.02,
        horizontal_spacing=0.01,
    )  # fmt: skip
    colours = _colours(len(classes), dark)
    pixels = images.transpose(0, 2, 3, 1)
    for row, image in enumerate(pixels, 1):
        figure.add_trace(go.Image(z=image, hoverinfo="skip"), row, 1)
        for column, (name, mask) in enumerate(masks.items(), 2):
            own = mask[row - 1]
            named = np.array(classes, dtype=object)[own]
            figure.add_trace(
                go.Image(
                    z=_veiled(image, own, colours),
                    customdata=named[..., None],
                    hovertemplate=f"%{{customdata[0]}}<extra>{name}</extra>",
                ),
                row,
                column,
            )
    for kind in sorted({int(k) for mask in masks.values() for k in np.unique(mask)} - {0}):
        red, green, blue = colours[kind]
        marker = {"color": f"rgb({red},{green},{blue})", "symbol": "square", "size": 11}
        figure.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", name=classes[kind], marker=marker)
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(
        template=style.template(dark),
        height=height or 90 + ROW * len(images),
        margin={"l": 8, "r": 8, "t": 28 + style.TOOLBAR, "b": 8},
    )
    return words.describe(figure, _in_words(masks, classes))


def _in_words(masks: Mapping[str, npt.NDArray[np.int64]], classes: Sequence[str]) -> str:
    """The share of all pixels that each column gives to each class but the ground."""
    count = len(next(iter(masks.values()), ()))
    columns = []
    for name, mask in masks.items():
        share = {k: float((mask == k).mean()) for k in np.unique(mask).tolist() if k}
        own = (f"{classes[k]} {style.percent(s)}" for k, s in share.items())
        columns.append(f"{name}: {words.listed(own) or 'nothing'}")
    return f"{style.counted(count, 'image')}, and shares of their pixels. {'. '.join(columns)}."


def _colours(count: int, dark: bool) -> npt.NDArray[np.int64]:
    """One colour a class (count, 3), 0..255: ours, then plotly's 24 over and over."""
    ours = style.SERIES_DARK if dark else style.SERIES
    series = itertools.chain(ours, itertools.cycle(qualitative.Dark24))
    hexes = [h.lstrip("#") for h in itertools.islice(series, count - 1)]
    hexes.insert(0, "000000")  # the ground, of which only the image is seen
    return np.array([[int(h[i : i + 2], 16) for i in (0, 2, 4)] for h in hexes])


def _veiled(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.int64], colours: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """The image (H, W, 3) with each class but the ground in its colour."""
    share = VEIL * (mask > 0)[..., None]
    mixed: npt.NDArray[np.uint8] = (image * (1 - share) + colours[mask] * share).astype(np.uint8)
    return mixed

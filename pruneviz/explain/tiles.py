"""Feature maps made small enough for a screen: bytes for each tile, on one scale a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pruneviz.explain.passage import Passage

SIDE = 20
"""Pixels of a tile at most."""
MOST = 16
"""Tiles of a layer at most: the filters that answer most to the image."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Tiles:
    """One layer's maps: uint8 (tiles, h, w)."""

    layer: str
    filters: tuple[int, ...]
    more: int
    """Filters that are not shown."""
    values: Bytes = field(repr=False)


def tiles(before: Passage, after: Passage, layers: Sequence[str], view: str) -> tuple[Tiles, ...]:
    """Shrink the maps of some layers.

    `view` is "before" or "after" (0 to 255, the layer's strongest before as white) or "difference",
    after minus before (128 is none, 255 and 1 the layer's largest).
    """
    made = []
    for layer in layers:
        old, new = before.of(layer), after.of(layer)
        if not old.size or old.shape != new.shape:
            continue
        strength = np.abs(old).mean((1, 2))
        strongest = np.sort(np.argsort(-strength, kind="stable")[:MOST])
        shown = tuple(int(i) for i in strongest)
        a, b = _small(old[strongest]), _small(new[strongest])
        made.append(Tiles(layer, shown, len(old) - len(shown), _bytes(a, b, view)))
    return tuple(made)


def _bytes(old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], view: str) -> Bytes:
    if view == "difference":
        change = new - old
        limit = float(np.abs(change).max())
        signed: Bytes = (128 + 127 * (change / limit if limit else change * 0)).astype(np.uint8)
        return signed
    low, high = min(0.0, float(old.min())), float(old.max())
    share = ((old if view == "before" else new) - low) / max(high - low, 1e-12)
    grey: Bytes = (255 * np.clip(share, 0, 1)).astype(np.uint8)
    return grey


def _small(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(C, h, w): means over equal cells, `SIDE` of them at most."""
    for axis in (1, 2):
        size = maps.shape[axis]
        if size > SIDE:
            starts = np.unique(np.linspace(0, size, SIDE + 1).astype(int)[:-1])
            counts = np.diff([*starts, size])
            shape = [1, 1, 1]
            shape[axis] = -1
            sums = np.add.reduceat(maps, starts, axis=axis)
            maps = (sums / counts.reshape(shape)).astype(np.float32)
    return maps

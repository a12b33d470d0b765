"""Image folders and zips as data sets."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import torch

from pruneviz.catalog import cache
from pruneviz.catalog.archives import Tree, open_tree
from pruneviz.catalog.decoded import decode_all
from pruneviz.catalog.downloads import Progress
from pruneviz.catalog.imagenet import with_classes_of
from pruneviz.catalog.images import LARGE, SMALL, Scaling, shorter_side
from pruneviz.catalog.layout import MIN_VAL, Item, Layout, divide, lay_out, listed
from pruneviz.catalog.preprocessing import Preprocessing
from pruneviz.data import DataSet, ImageSet
from pruneviz.data_options import check_ranges
from pruneviz.errors import DataError, InvalidValueError


def load_folder(
    root: str,
    *,
    name: str = "folder",
    size: int | None = None,
    val: float | int | None = None,
    seed: int = 0,
    limit: int | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | str | None = None,
    classes_of: str | None = None,
    cache_bytes: int = cache.LIMIT_BYTES,
    progress: Progress | None = None,
) -> DataSet:
    """A folder or zip of images as a data set; see `load_dataset`."""
    check_ranges(size, val, limit, seed, cache_bytes)
    prepared = _prepared(preprocessing, size)
    with open_tree(root) as tree:
        layout = lay_out(tree)
        side = size if prepared is None else prepared.size
        side = guess_size(tree, layout) if side is None else side
        options: dict[str, Any] = {"root": str(tree.root), "size": side, "val": val, "seed": seed}
        if prepared is not None:
            options |= {"size": None, "preprocessing": prepared.to_json()}
        if classes_of is not None:
            options["classes_of"] = classes_of
        data = build(
            tree,
            layout.classes,
            divide(layout, val=val, seed=seed, limit=limit),
            side,
            source={"name": name, "options": options | ({"limit": limit} if limit else {})},
            notes=layout.notes,
            scaling=None if prepared is None else prepared.scaling,
            cache_bytes=cache_bytes,
            progress=progress,
        )
    if prepared is not None:
        data = replace(data, mean=prepared.mean, std=prepared.std)
    return data if classes_of is None else with_classes_of(data, classes_of)


def _prepared(
    preprocessing: Preprocessing | Mapping[str, Any] | str | None, size: int | None
) -> Preprocessing | None:
    prepared = None if preprocessing is None else Preprocessing.of(preprocessing)
    if prepared is not None and size is not None and size != prepared.size:
        raise InvalidValueError(
            f"The preprocessing cuts out {prepared.size} pixels, but got size={size}; give one of "
            "both."
        )
    return prepared


def build(
    tree: Tree,
    classes: tuple[str, ...],
    splits: Mapping[str, tuple[Item, ...]],
    side: int,
    *,
    source: Mapping[str, Any],
    notes: Sequence[str] = (),
    scaling: Scaling | None = None,
    cache_bytes: int = cache.LIMIT_BYTES,
    progress: Progress | None = None,
) -> DataSet:
    """Decode the images of all splits; those that cannot be read are left out with a warning."""
    items = [item for part in splits.values() for item in part]
    decoded = decode_all(
        tree,
        [entry for entry, _ in items],
        side,
        scaling=scaling,
        cache_bytes=cache_bytes,
        progress=progress,
    )
    broken = set(decoded.broken)
    if broken:
        some = ", ".join(items[i][0].path for i in decoded.broken[:3])
        more = ", ..." if len(broken) > 3 else ""
        notes = [*notes, f"{len(broken)} of {len(items)} images cannot be read: {some}{more}."]
    sets: dict[str, ImageSet] = {}
    position = row = 0
    for split, part in splits.items():
        labels = [label for i, (_, label) in enumerate(part, position) if i not in broken]
        images = decoded.images[row : row + len(labels)]
        sets[split] = ImageSet(images, torch.tensor(labels, dtype=torch.int64))
        position, row = position + len(part), row + len(labels)
    return assemble(sets, classes, source, notes, decoded.digest)


def assemble(
    sets: Mapping[str, ImageSet],
    classes: tuple[str, ...],
    source: Mapping[str, Any],
    notes: Sequence[str] = (),
    content: str = "",
    *,
    augment: str = "crop-flip",
) -> DataSet:
    """Make a data set of some splits and check it; warn of what a user should know.

    `content` stands for the pixels in the digest; if it is empty, the pixels are hashed. Raises
    `DataError` if a class has no images left, or there are too few validation images.
    """
    name = str(source["name"])
    train, val = sets["train"], sets["val"]
    notes = [*notes, *_check_validation(val, classes)]
    _refuse_empty_classes("train", train, classes)
    for note in notes:
        warnings.warn(f"Data set '{name}': {note}", stacklevel=2)
    digest = ""
    if content:
        sha = sha256(content.encode())
        for split, part in sets.items():
            sha.update(f"{split} {classes}".encode() + part.labels.numpy().tobytes())
        digest = sha.hexdigest()[:16]
    return DataSet(
        name=name,
        train=train,
        val=val,
        test=sets.get("test"),
        classes=classes,
        input_shape=(3, *train.images.shape[2:]),
        source=source,
        digest=digest,
        augment=augment,
        notes=tuple(notes),
    )


def guess_size(tree: Tree, layout: Layout) -> int:
    """32 if the images are small (median shorter side up to 64 pixels), else 224."""
    items = layout.splits["train"]
    some = items[:: max(1, len(items) // 50)]
    sides = []
    for entry, _ in some:
        with suppress(DataError):  # a damaged file; it is told of when all are decoded
            side = shorter_side(tree.read(entry))
            sides += [side] if side else []
    return SMALL if sides and statistics.median(sides) <= 2 * SMALL else LARGE


def _refuse_empty_classes(split: str, images: ImageSet, classes: tuple[str, ...]) -> None:
    counts = torch.bincount(images.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    if empty:
        raise DataError(
            f"No {split} images are left of {listed(empty)}; every class needs some. Add images, "
            "or remove the class."
        )


def _check_validation(val: ImageSet, classes: tuple[str, ...]) -> list[str]:
    """Refuse a validation set that is far too small; warn of one that is small."""
    if len(val) < MIN_VAL:
        raise DataError(
            f"Validation needs at least {MIN_VAL} images, but has {len(val)}: each would be worth "
            f"{100 / max(1, len(val)):.0f} points of accuracy. Add images: a folder without val/ "
            f"needs {2 * MIN_VAL} in all, one with val/ {MIN_VAL} there."
        )
    _refuse_empty_classes("validation", val, classes)
    counts = torch.bincount(val.labels, minlength=len(classes)).tolist()
    few = [name for name, count in zip(classes, counts, strict=True) if count < 2]
    if few:
        return [f"validation has one image only of {listed(few)}; add some."]
    return []

"""Which files of a tree belong to which class and split."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import torch

from pruneviz.catalog.archives import Entry, Parts, Tree, is_hidden
from pruneviz.catalog.images import SUFFIXES
from pruneviz.data import stratified_split
from pruneviz.errors import DataError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders, in lower case, and the split they hold."""

MIN_VAL = 20
"""With fewer images in validation, one of them would be worth several points of accuracy."""
MAX_VAL = 2_000
VAL_SHARE = 0.2

Item = tuple[Entry, int]
"""An image and the index of its class."""


@dataclass(frozen=True)
class Layout:
    """What a tree holds: its classes, and the images of each split that has a folder.

    `splits` has only "train" if the tree is one folder of class folders.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[Item, ...]]
    notes: tuple[str, ...] = ()


def lay_out(tree: Tree) -> Layout:
    """Find the splits and classes. Raises `DataError` if there are none, or too few."""
    root = tree.root.name
    images = [e for e in tree.entries if _is_image(e.parts)]
    folders = {e.parts[:-1] for e in images} | {f for f in tree.folders if not _hidden(f)}
    if not images:
        raise DataError(
            f"'{root}' holds no images ({', '.join(sorted(SUFFIXES))}); give a folder or zip with "
            "one folder of images per class."
        )
    top = _skip_wrappers(images, folders)
    names = _children(top, folders)
    splits = {SPLITS[n.lower()]: n for n in names if n.lower() in SPLITS}
    notes: list[str] = []
    if "train" not in splits:
        if splits and set(splits.values()) == set(names):
            raise DataError(
                f"'{root}' has {listed(names)} but no train folder; add a folder 'train' with one "
                "folder of images per class."
            )
        classes, items = _classes(root, top, images, folders)
        return Layout(classes, {"train": items})
    classes, items = _classes(root, (*top, splits["train"]), images, folders)
    result = {"train": items}
    for split in ("val", "test"):
        if split not in splits:
            continue
        base = (*top, splits[split])
        if split == "test" and not _children(base, folders):
            notes.append(f"'{splits[split]}' has no class folders and is left out.")
            continue
        result[split] = _of_classes(root, base, images, folders, classes)
    others = sorted(set(names) - set(splits.values()))
    if others:
        notes.append(f"{listed(others)} beside '{splits['train']}' is left out.")
    return Layout(classes, result, tuple(notes))


def divide(
    layout: Layout, *, val: float | int | None = None, seed: int = 0, limit: int | None = None
) -> dict[str, tuple[Item, ...]]:
    """Divide the images into train, val and, if there is one, test.

    Without a validation folder some training images are kept for validation (the test images are
    never used for it): `val` of them, or that fraction, or by default a fifth (`default_val`); the
    classes keep their proportions. `limit` is then the most images per class in each split.
    """
    splits = dict(layout.splits)
    if "val" not in splits:
        items = splits["train"]
        labels = torch.tensor([label for _, label in items])
        wanted = default_val(len(items)) if val is None else val
        train, kept = stratified_split(labels, wanted, seed=seed)
        splits["train"] = tuple(items[i] for i in train.tolist())
        splits["val"] = tuple(items[i] for i in kept.tolist())
    ordered: dict[str, tuple[Item, ...]] = {
        split: splits[split] for split in ("train", "val", "test") if split in splits
    }
    if limit is None:
        return ordered
    return {
        split: tuple(items[row] for row in draw([label for _, label in items], limit, seed))
        for split, items in ordered.items()
    }


def _classes(
    root: str, base: Parts, images: Sequence[Entry], folders: Set[Parts]
) -> tuple[tuple[str, ...], tuple[Item, ...]]:
    """The class folders below `base` and their images."""
    classes = tuple(_children(base, folders))
    if not classes:
        raise DataError(
            f"'{root}' holds {len(images)} images but no class folders; put the images of each "
            "class in their own folder."
        )
    if len(classes) == 1:
        raise DataError(
            f"'{root}' has one class ('{classes[0]}'), but a classifier needs at least two; add a "
            "folder for each other class."
        )
    items = _of_classes(root, base, images, folders, classes)
    counts = Counter(label for _, label in items)
    empty = [name for label, name in enumerate(classes) if not counts[label]]
    if empty:
        raise DataError(
            f"'{root}' has class folders without images ({listed(empty)}); fill or remove them."
        )
    return classes, items


def _of_classes(
    root: str,
    base: Parts,
    images: Sequence[Entry],
    folders: Set[Parts],
    classes: tuple[str, ...],
) -> tuple[Item, ...]:
    index = {name: label for label, name in enumerate(classes)}
    unknown = [name for name in _children(base, folders) if name not in index]
    if unknown:
        raise DataError(
            f"'{root}' has class folders in '{base[-1]}' that its training images lack "
            f"({listed(unknown)}); give both the same class folders."
        )
    depth = len(base)
    return tuple(
        (entry, index[entry.parts[depth]])
        for entry in images
        if entry.parts[:depth] == base and len(entry.parts) > depth + 1
    )


def _skip_wrappers(images: Sequence[Entry], folders: Set[Parts]) -> Parts:
    """The folder in which splits or classes begin: zips often have one folder around everything."""
    top: Parts = ()
    while True:
        names = _children(top, folders)
        if len(names) != 1 or names[0].lower() in SPLITS:
            return top
        if any(entry.parts[:-1] == top for entry in images):
            return top
        if not _children((*top, names[0]), folders):
            return top
        top = (*top, names[0])


def _children(base: Parts, folders: Set[Parts]) -> list[str]:
    """Names of the folders directly below `base`, in order."""
    depth = len(base)
    return sorted({f[depth] for f in folders if len(f) > depth and f[:depth] == base})


def _is_image(parts: Parts) -> bool:
    return f".{parts[-1].rpartition('.')[2].lower()}" in SUFFIXES and not _hidden(parts)


def _hidden(parts: Parts) -> bool:
    return any(is_hidden(part) for part in parts)


def default_val(count: int) -> int:
    """How many of `count` training images are kept for validation by default.

    A fifth, at least 20 and at most 2,000, but no more than half. 2,000 images give an accuracy to
    about one point (a standard error of 1.1 % at worst).
    """
    return max(1, min(count // 2, max(MIN_VAL, min(MAX_VAL, round(VAL_SHARE * count)))))


def draw(labels: Sequence[int], limit: int, seed: int) -> list[int]:
    """Positions of at most `limit` images per class, drawn with `seed`, in ascending order."""
    by_class: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        by_class.setdefault(label, []).append(position)
    generator = random.Random(seed)
    chosen = (generator.sample(rows, min(limit, len(rows))) for rows in by_class.values())
    return sorted(position for rows in chosen for position in rows)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in quotes; of many, only the first few."""
    more = len(names) - most
    return ", ".join(f"'{n}'" for n in names[:most]) + (f" and {more} more" if more > 0 else "")

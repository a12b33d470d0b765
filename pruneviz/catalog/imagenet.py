"""ImageNet's 1,000 classes, and which one a folder's name means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import DataError, UnknownNameError

SYNSETS = Path(__file__).with_name("imagenet_synsets.txt")
"""WordNet ids of the classes, in the order of the networks' outputs."""


@lru_cache(maxsize=1)
def synsets() -> tuple[str, ...]:
    """The WordNet id of each class."""
    return tuple(SYNSETS.read_text(encoding="utf-8").split())


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """torchvision's name of each class; two names that stand for two classes get the id, too."""
    from torchvision.models import ResNet18_Weights

    listed = list(ResNet18_Weights.DEFAULT.meta["categories"])
    plain = [_plain(name) for name in listed]
    return tuple(
        f"{name} ({synset})" if plain.count(_plain(name)) > 1 else name
        for name, synset in zip(listed, synsets(), strict=True)
    )


def class_indices(folders: Sequence[str]) -> list[int] | None:
    """The class of each folder, by synset or name; None unless every folder is a class."""
    known = {synset: i for i, synset in enumerate(synsets())}
    known |= {_plain(name): i for i, name in enumerate(names())}
    indices = []
    for folder in folders:
        synset = re.match(r"n\d{8}(?!\d)", folder.strip().lower())
        index = known.get(synset[0] if synset else _plain(folder))
        if index is None:
            return None
        indices.append(index)
    return indices if len(set(indices)) == len(indices) else None


def with_classes_of(data: DataSet, which: str) -> DataSet:
    """The same images with all classes of ImageNet, so that its weights can be evaluated on them.

    Raises:
        DataError: A folder's name is none of the classes.
        UnknownNameError: `which` is not "imagenet".
    """
    if which != "imagenet":
        raise UnknownNameError("set of classes", which, ("imagenet",))
    indices = class_indices(data.classes)
    if indices is None:
        known = {name for name in data.classes if class_indices([name]) is not None}
        stranger = next((c for c in data.classes if c not in known), data.classes[0])
        raise DataError(
            f"'{stranger}' is no class of ImageNet, or one that is there twice; name each folder "
            "by a synset, such as n01440764, or by a class, such as 'tench'."
        )
    table = torch.tensor(indices)

    def mapped(images: ImageSet | None) -> ImageSet | None:
        return None if images is None else replace(images, labels=table[images.labels])

    train, val = mapped(data.train), mapped(data.val)
    assert train is not None
    assert val is not None
    return replace(data, train=train, val=val, test=mapped(data.test), classes=names(), digest="")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()

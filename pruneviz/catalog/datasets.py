"""The data sets of the catalogue and how to load them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pruneviz.arguments import path_of
from pruneviz.catalog import cache, own_data
from pruneviz.catalog.digits import load_digits
from pruneviz.catalog.folders import load_folder
from pruneviz.catalog.layout import SPLITS
from pruneviz.data import DataSet, ImageSet
from pruneviz.data_options import check_data
from pruneviz.errors import DataError, shown


@dataclass(frozen=True)
class Catalogued:
    """One data set of the catalogue; the counts are images, 0 if the split is drawn on loading.

    `made` returns a set that comes with PruneViz; such a set takes no option but `size`.
    """

    name: str
    description: str
    source: str
    classes: int = 0
    train: int = 0
    val: int = 0
    test: int = 0
    input_size: int = 32
    download_mb: int = 0
    made: Callable[[], DataSet] | None = None

    def offline(self) -> bool:
        """Whether it loads without a network: bundled, your own, or downloaded before."""
        if self.source != "torchvision":
            return True
        from pruneviz.catalog.torchvision_data import is_downloaded

        return is_downloaded(self.name, downloads())


CATALOGUE: Mapping[str, Catalogued] = {
    entry.name: entry
    for entry in (
        Catalogued(
            "digits",
            "Handwritten digits (scikit-learn)",
            "bundled",
            10,
            1_297,
            500,
            made=load_digits,
        ),
        Catalogued(
            "cifar10", "Objects and animals", "torchvision", 10, 48_000, 2_000, 10_000, 32, 170
        ),
        Catalogued(
            "cifar100", "Objects and animals", "torchvision", 100, 48_000, 2_000, 10_000, 32, 169
        ),
        Catalogued("svhn", "House numbers", "torchvision", 10, 71_257, 2_000, 26_032, 32, 246),
        Catalogued(
            "fashion_mnist", "Clothes, grey", "torchvision", 10, 58_000, 2_000, 10_000, 32, 31
        ),
        Catalogued("flowers102", "Flowers", "torchvision", 102, 1_020, 1_020, 6_149, 224, 345),
        Catalogued("caltech101", "Objects", "torchvision", 101, 6_941, 1_736, 0, 224, 137),
        Catalogued("folder", "Your own images: a folder or zip, root=...", "your own"),
    )
}

_ARRAYS = ("cifar10", "cifar100", "svhn", "fashion_mnist")


def datasets() -> pd.DataFrame:
    """The data sets that can be loaded, one per row.

    Columns: `name` (for `load_dataset`), `description`, `source` ("bundled", "torchvision" or
    "your own"), `classes`, `train`, `val`, `test` (images, by default), `input_size` (side in
    pixels), `download_mb` (megabytes) and `offline` (whether it loads without a network). The
    counts of your own images are 0.
    """
    columns = [
        "name", "description", "source", "classes", "train", "val", "test", "input_size",
        "download_mb",
    ]  # fmt: skip
    rows = [
        {c: getattr(entry, c) for c in columns} | {"offline": entry.offline()}
        for entry in CATALOGUE.values()
    ]
    if own_data.given() is not None:
        own = Catalogued(own_data.NAME, "Your own images, from Python", "your own")
        rows.append({c: getattr(own, c) for c in columns} | {"offline": True})
    return pd.DataFrame(rows)


def load_dataset(name: str, **options: Any) -> DataSet:
    """A data set of the catalogue: uint8 images (N, 3, H, W), split, with their classes.

    `name` is one of `datasets()`. "digits" is bundled and takes only `size`. The others take:

    - `root`: for "folder", a directory or zip with `train/` and `val/` or `test/`, each with one
      folder per class, or with one folder per class. For torchvision's sets, where their files are
      kept, or the same set as an image folder or zip.
    - `size`: side of the images in pixels. The shorter side is resized to it (to 256/224 of it
      from 224 on, as is usual for ImageNet) and the centre is cut out. By default what the set
      has; for your own 32 where the images are small, else 224.
    - `val`: how many training images are kept for validation where there is no `val/`: a count
      or a fraction. By default a fifth, at least 20 and at most 2,000. Test images are never used
      for it.
    - `seed`: decides which these are.
    - `preprocessing`: for "folder", how the weights' authors prepared images, as
      `describe_model(model).preprocessing` says; instead of `size`.
    - `classes_of`: for "folder", "imagenet" where the folders are some of ImageNet's classes, by
      name or synset (n01440764): then the set has all 1,000, as ImageNet's weights do.
    - `limit`: the most images per class in each split.
    - `cache_bytes`: how many bytes of decoded images are kept for next time.
    - `progress`: called with (done, total, what) while files arrive or are decoded.

    Warnings (files that cannot be read, few validation images) are issued and kept in `.notes`.
    Decoded images are cached, memory-mapped, in the user's cache folder or `$PRUNEVIZ_CACHE`.

    Raises `UnknownNameError`, `InvalidValueError`, `DataError`, `OfflineError`, `StorageError`.
    """
    if isinstance(name, str) and name == own_data.NAME:
        options.pop("progress", None)
        return own_data.load(options)
    check_data(name, options)
    progress = options.pop("progress", None)
    entry = CATALOGUE[name]
    if entry.made is not None:
        return _enlarged(entry.made(), options.get("size"))
    root = options.pop("root", None)
    if root is not None:
        root = path_of("root", root, "a folder or zip of images")
    if name == "folder":
        return load_folder(root, progress=progress, **options)
    if root is not None and is_image_folder(root):
        size = options.pop("size", entry.input_size)
        data = load_folder(root, name=name, size=size, progress=progress, **options)
        if len(data.classes) != entry.classes:
            raise DataError(
                f"'{name}' has {entry.classes} classes, and '{Path(root).name}' has "
                f"{len(data.classes)}; load it as 'folder'."
            )
        return data
    from pruneviz.catalog.torchvision_data import Options, load_arrays, load_caltech, load_flowers

    size = options.pop("size", None) or entry.input_size
    where = downloads() if root is None else Path(root).expanduser().absolute()
    settings = Options(root=where, size=size, progress=progress, **options)
    if name in _ARRAYS:
        return load_arrays(name, settings)
    return load_flowers(settings) if name == "flowers102" else load_caltech(settings)


def downloads() -> Path:
    """Where torchvision's data sets are kept unless `root` says otherwise."""
    return cache.cache_dir() / "downloads"


def _enlarged(data: DataSet, size: int | None) -> DataSet:
    """The same set with images of another size, for networks that need larger ones."""
    if size is None or size == data.input_shape[-1]:
        return data
    from pruneviz.catalog.torchvision_data import resized

    def to_size(images: ImageSet) -> ImageSet:
        return replace(images, images=resized(images.images, size))

    return replace(
        data,
        train=to_size(data.train),
        val=to_size(data.val),
        test=None if data.test is None else to_size(data.test),
        input_shape=(3, size, size),
        source={"name": data.name, "options": {"size": size}},
        digest="",
    )


def is_image_folder(root: str) -> bool:
    """Whether a path leads to a folder or zip of images, not to files of torchvision's."""
    try:
        path = Path(root).expanduser()
        folders = (p.name.lower() for p in path.iterdir() if p.is_dir()) if path.is_dir() else ()
        return path.is_file() or any(name in SPLITS for name in folders)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"The folder {shown(root)} cannot be read ({error}); give one that can."
        ) from error

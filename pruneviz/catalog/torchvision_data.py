"""torchvision's data sets, downloaded by its own code, as uint8 tensors."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision import datasets as zoo
from torchvision.transforms.v2.functional import resize

from pruneviz.catalog import cache
from pruneviz.catalog.archives import Entry, FolderTree, stamp_of
from pruneviz.catalog.downloads import Progress, download
from pruneviz.catalog.folders import assemble, build
from pruneviz.catalog.layout import Item, default_val, divide, draw, lay_out
from pruneviz.data import DataSet, ImageSet, stratified_split
from pruneviz.errors import DataError, PruneVizError, StorageError


@dataclass(frozen=True)
class Options:
    """What `load_dataset` takes, with its defaults."""

    root: Path
    size: int
    val: float | int | None = None
    seed: int = 0
    limit: int | None = None
    cache_bytes: int = cache.LIMIT_BYTES
    progress: Progress | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold and what loads the same set again."""
        kept = {"root": str(self.root), "size": self.size, "val": self.val, "seed": self.seed}
        return kept | ({"limit": self.limit} if self.limit else {})


def load_arrays(name: str, options: Options) -> DataSet:
    """CIFAR-10, CIFAR-100, SVHN or FashionMNIST: one array of small images per split."""
    read = _ARRAYS[name]
    *arrays, classes = read("train", options)
    train = _sorted_by_class(*arrays)
    test = _sorted_by_class(*read("test", options)[:2])
    count = default_val(len(train.labels)) if options.val is None else options.val
    rest, kept = stratified_split(train.labels, count, seed=options.seed)
    sets = {"train": train.subset(rest), "val": train.subset(kept), "test": test}
    if options.limit is not None:
        for split, images in sets.items():
            rows = draw(images.labels.tolist(), options.limit, options.seed)
            sets[split] = images.subset(torch.tensor(rows))
    sets = {k: ImageSet(resized(v.images, options.size), v.labels) for k, v in sets.items()}
    augment = "crop" if name == "svhn" else "crop-flip"  # a mirrored house number is another
    source = {"name": name, "options": options.to_dict()}
    return assemble(sets, classes, source, augment=augment)


def load_flowers(options: Options) -> DataSet:
    """Flowers-102 with its own three splits."""
    splits: dict[str, tuple[Item, ...]] = {}
    for split in ("train", "val", "test"):
        flowers = _fetch("flowers102", zoo.Flowers102, options, split=split)
        pairs = zip(flowers._image_files, flowers._labels, strict=True)
        items = tuple((_entry(Path(file)), int(label)) for file, label in pairs)
        if options.limit is not None:
            rows = draw([label for _, label in items], options.limit, options.seed)
            items = tuple(items[row] for row in rows)
        splits[split] = items
    folder = options.root / "flowers-102" / "jpg"
    return _build("flowers102", FolderTree(folder), tuple(zoo.Flowers102.classes), splits, options)


def load_caltech(options: Options) -> DataSet:
    """Caltech-101 without its background class; a fifth is kept for validation."""
    _fetch("caltech101", zoo.Caltech101, options)
    tree = FolderTree(options.root / "caltech101" / "101_ObjectCategories")
    background = "BACKGROUND_Google"
    tree.entries = tuple(e for e in tree.entries if e.parts[0] != background)
    tree.folders = tuple(f for f in tree.folders if f[:1] != (background,))
    layout = lay_out(tree)
    splits = divide(layout, val=options.val, seed=options.seed, limit=options.limit)
    return _build("caltech101", tree, layout.classes, splits, options)


def is_downloaded(name: str, root: Path) -> bool:
    """Whether the files of a set are in `root`, judging by their folder."""
    return (root / _MARKS[name]).exists()


def _build(
    name: str,
    tree: FolderTree,
    classes: tuple[str, ...],
    splits: Mapping[str, tuple[Item, ...]],
    options: Options,
) -> DataSet:
    return build(
        tree,
        classes,
        splits,
        options.size,
        source={"name": name, "options": options.to_dict()},
        cache_bytes=options.cache_bytes,
        progress=options.progress,
    )


def _entry(path: Path) -> Entry:
    info = path.stat()
    return Entry((path.name,), info.st_size, stamp_of(info))


def _fetch(name: str, kind: Callable[..., Any], options: Options, **arguments: Any) -> Any:
    """torchvision's data set; missing or damaged files are downloaded."""
    root = cache.make(options.root)
    try:
        return kind(root, download=False, **arguments)
    except (RuntimeError, OSError):  # not there
        pass
    what = f"The data set '{name}'"
    try:
        return download(
            what,
            _URLS[name](),
            root / _LANDS[name],
            lambda: kind(root, download=True, **arguments),
            progress=options.progress,
        )
    except PruneVizError:
        raise
    except (RuntimeError, ValueError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{what} arrived damaged ({error}); try again.") from error
    except OSError as error:
        raise StorageError(
            f"{what} cannot be kept in {root} ({error.strerror or error}); give root= or "
            "PRUNEVIZ_CACHE a folder with room that can be written."
        ) from error


Arrays = tuple[torch.Tensor, Any, tuple[str, ...]]
"""uint8 images (N, 3, H, W), labels and names of the classes."""


def _cifar(name: str, kind: Callable[..., Any]) -> Callable[[str, Options], Arrays]:
    def read(split: str, options: Options) -> Arrays:
        dataset = _fetch(name, kind, options, train=split == "train")
        return (
            torch.from_numpy(dataset.data).permute(0, 3, 1, 2),
            dataset.targets,
            (*dataset.classes,),
        )

    return read


def _svhn(split: str, options: Options) -> Arrays:
    dataset = _fetch("svhn", zoo.SVHN, options, split=split)
    images = torch.from_numpy(np.ascontiguousarray(dataset.data))
    return images, dataset.labels, tuple("0123456789")


def _fashion(split: str, options: Options) -> Arrays:
    dataset = _fetch("fashion_mnist", zoo.FashionMNIST, options, train=split == "train")
    images = dataset.data.unsqueeze(1).expand(-1, 3, -1, -1)
    return images, dataset.targets, (*dataset.classes,)


def _sorted_by_class(images: torch.Tensor, labels: Any) -> ImageSet:
    """Sorted by class, as in an image folder, so that a seed gives the same split in both."""
    every = torch.as_tensor(labels, dtype=torch.int64)
    order = torch.argsort(every, stable=True)
    return ImageSet(images[order].contiguous(), every[order])


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Images (N, C, H, W) as (N, C, size, size), bilinearly."""
    if images.shape[-1] == size:
        return images
    parts = [resize(part, [size, size], antialias=True) for part in torch.split(images, 1024)]
    return torch.cat(parts)


_ARRAYS: Mapping[str, Callable[[str, Options], Arrays]] = {
    "cifar10": _cifar("cifar10", zoo.CIFAR10),
    "cifar100": _cifar("cifar100", zoo.CIFAR100),
    "svhn": _svhn,
    "fashion_mnist": _fashion,
}

# Asked first, so that a missing network is found within seconds, and watched while they arrive.
_URLS: Mapping[str, Callable[[], list[str]]] = {
    "cifar10": lambda: [zoo.CIFAR10.url],
    "cifar100": lambda: [zoo.CIFAR100.url],
    "svhn": lambda: [zoo.SVHN.split_list[split][0] for split in ("train", "test")],
    "fashion_mnist": lambda: [
        zoo.FashionMNIST.mirrors[0] + name for name, _ in zoo.FashionMNIST.resources
    ],
    "flowers102": lambda: [
        zoo.Flowers102._download_url_prefix + name for name, _ in zoo.Flowers102._file_dict.values()
    ],
    "caltech101": lambda: ["https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"],
}

# Where, below the root, the downloads land, and what lies there once they are unpacked.
_LANDS = {
    "cifar10": "",
    "cifar100": "",
    "svhn": "",
    "fashion_mnist": "FashionMNIST/raw",
    "flowers102": "flowers-102",
    "caltech101": "caltech101",
}
_MARKS = {
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "svhn": "test_32x32.mat",
    "fashion_mnist": "FashionMNIST/raw/t10k-labels-idx1-ubyte",
    "flowers102": "flowers-102/setid.mat",
    "caltech101": "caltech101/101_ObjectCategories",
}

"""Images as whole tensors: sets, splits, batches, and augmentation of a batch at once.

Every image of a set has the same size and is held as uint8, in memory or memory-mapped, so a batch
is one gather instead of a decode per image. Crops and flips are folded into that gather, and the
normalisation into the conversion to float.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch

from pruneviz.arguments import instance, number, one_of, whole
from pruneviz.augmentation import AUGMENTATIONS, random_crop, random_shift_rotate
from pruneviz.errors import DataError, InvalidValueError, shown

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Device = torch.device | str


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split: uint8 images (N, C, H, W) and int64 labels (N,), or a mask an image: (N, H, W)."""

    images: torch.Tensor
    labels: torch.Tensor
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    """By channel, of pixels in 0..1: what `batches` normalises by."""

    def __post_init__(self) -> None:
        for name, value in (("Images", self.images), ("Labels", self.labels)):
            instance(name, value, torch.Tensor, "torch.from_numpy(array) makes one", DataError)
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(
                "Images must be a uint8 tensor of shape (N, C, H, W), but got "
                f"{self.images.dtype} of shape {tuple(self.images.shape)}; convert them first."
            )
        if self.labels.dtype != torch.int64 or self.labels.shape[:1] != self.images.shape[:1]:
            raise DataError(
                f"Labels must be one int64 for each of the {len(self.images)} images, but got "
                f"{self.labels.dtype} of shape {tuple(self.labels.shape)}; give as many labels as "
                "images."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: Device) -> ImageSet:
        """The same split held by a device, so that batches need no transfer."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, indices: torch.Tensor) -> ImageSet:
        """The images at these indices (int64 of shape (K,)), in that order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])

    def first(self, n: int) -> ImageSet:
        """A sample of ``n`` images with the classes balanced; the same images every time.

        The first image of each class, then the second of each, and so on until ``n`` are taken.
        All images where there are no more than ``n``.
        """
        whole("The number of images", n)
        if n >= len(self):
            return self
        if self.labels.ndim > 1:  # masks belong to no class
            return self.subset(torch.arange(n))
        order = torch.argsort(self.labels, stable=True)
        counts = torch.bincount(self.labels)
        starts = counts.cumsum(0) - counts
        turn = torch.empty_like(order)
        turn[order] = torch.arange(len(self)) - starts[self.labels[order]]
        key = turn * len(counts) + self.labels
        return self.subset(torch.argsort(key)[:n])

    def batches(
        self,
        batch_size: int,
        *,
        shuffle_seed: int | None = None,
        augment: str | None = None,
        device: Device = "cpu",
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield normalised float32 images (B, C, H, W) and labels (B,), all images once.

        With a seed the order is shuffled, and the augmentation drawn, from a generator of their
        own: the same seed gives the same batches. A last batch of one image is joined to the one
        before, as batch norm cannot learn from a single value.
        """
        whole("batch_size", batch_size)
        if augment is not None:
            one_of("augmentation", augment, AUGMENTATIONS)
        if shuffle_seed is not None:
            whole("shuffle_seed", shuffle_seed, 0)
        generator = torch.Generator().manual_seed(0 if shuffle_seed is None else shuffle_seed)
        n = len(self)
        order = None if shuffle_seed is None else torch.randperm(n, generator=generator)
        for start, stop in chunks(n, batch_size):
            rows = slice(start, stop) if order is None else order[start:stop].to(self.labels.device)
            labels = self.labels[rows].to(device)
            if augment in ("crop", "crop-flip"):
                images = random_crop(self.images[rows], generator, flip=augment == "crop-flip")
            else:
                images = self.images[rows]
            x = normalise(images.to(device), self.mean, self.std)
            if augment == "shift-rotate":
                x = random_shift_rotate(x, generator)
            yield x, labels


@dataclass(frozen=True, eq=False)
class DataSet:
    """Images of some classes, split for training, for decisions (``val``) and for the final test.

    ``source`` is JSON-able and names what ``load_dataset`` needs to give the same set again;
    ``augment`` is the augmentation that suits these images when a network is trained on them;
    ``notes`` are sentences a user should see, such as how many files could not be read. ``mean``
    and ``std`` (by channel, of pixels in 0..1) are what all splits are normalised by.
    """

    name: str
    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    source: Mapping[str, Any]
    digest: str = ""
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    augment: str | None = "crop-flip"
    notes: tuple[str, ...] = ()
    _splits: Mapping[str, ImageSet | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mean, std = _check_normalisation(self.mean, self.std, self.train)
        for name in ("train", "val", "test"):
            images = getattr(self, name)
            if images is not None and (images.mean, images.std) != (mean, std):
                object.__setattr__(self, name, replace(images, mean=mean, std=std))
        splits = {"train": self.train, "val": self.val, "test": self.test}
        object.__setattr__(self, "_splits", MappingProxyType(splits))
        digest = self.digest.partition("~")[0] or digest_of(*splits.values())
        if (mean, std) != (MEAN, STD):  # the same pixels, but other inputs of a network
            digest += f"~{hashlib.sha256(repr((mean, std)).encode()).hexdigest()[:8]}"
        object.__setattr__(self, "digest", digest)

    def split(self, name: str) -> ImageSet:
        """The split ``train``, ``val`` or ``test``; a `DataError` where it is absent or empty."""
        images = self._splits[one_of("split", name, self._splits)]
        if images is None or len(images) == 0:
            present = [key for key, value in self._splits.items() if value is not None and value]
            raise DataError(
                f"Data set '{self.name}' has no images in its split '{name}'; "
                f"use one of: {', '.join(present) or 'none'}."
            )
        return images


def chunks(n: int, size: int) -> list[tuple[int, int]]:
    """Bounds of ``n`` items in runs of ``size``; a last run of one item joins the one before."""
    bounds = [(start, min(start + size, n)) for start in range(0, n, size)]
    if len(bounds) > 1 and n - bounds[-1][0] == 1 and size > 1:
        bounds[-2:] = [(bounds[-2][0], n)]
    return bounds


def normalise(
    images: torch.Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> torch.Tensor:
    """Map uint8 (N, C, H, W) to float32 ``(x / 255 - mean) / std``, as one multiply and one add."""
    spread = torch.tensor(std, device=images.device).view(-1, 1, 1) * 255
    shift = -torch.tensor(mean, device=images.device).view(-1, 1, 1) / (spread / 255)
    return images.to(torch.float32).mul_(1 / spread).add_(shift)


def check_data(data: object) -> DataSet:
    """The data set itself. Raises `DataError` for anything else."""
    return instance("data", data, DataSet, "pv.load_dataset(name) gives one", DataError)


def _check_normalisation(
    mean: Sequence[float], std: Sequence[float], images: ImageSet
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    channels = images.images.shape[1]
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, Sequence) or len(values) != channels:
            raise InvalidValueError(
                f"{name} must be {channels} numbers, one per channel, but got {shown(values)}."
            )
    return (
        tuple(number("mean", value, -math.inf) for value in mean),
        tuple(number("std", value, 1e-6) for value in std),
    )


def stratified_split(
    labels: torch.Tensor, val: int | float, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (int64, ascending) of a train and a validation part with equal class shares.

    ``val`` is the number of validation images, or their fraction of all. Every class gives its
    share, rounded by the largest remainder, so that the total is exact. The same labels and seed
    give the same split.
    """
    n = len(labels)
    wanted = round(val * n) if isinstance(val, float) else val
    if not 0 < wanted < n:
        raise DataError(
            f"A split of {n} images cannot keep {wanted} for validation; "
            f"keep at least 1 and at most {n - 1}."
        )
    counts = torch.bincount(labels)
    shares = counts.to(torch.float64) * wanted / n
    take = shares.floor().to(torch.int64)
    largest = torch.argsort(shares - take, descending=True, stable=True)
    take[largest[: wanted - int(take.sum())]] += 1
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    chosen = [shuffled[labels[shuffled] == c][: int(k)] for c, k in enumerate(take)]
    in_val = torch.zeros(n, dtype=torch.bool)
    in_val[torch.cat(chosen)] = True
    every = torch.arange(n)
    return every[~in_val], every[in_val]


def digest_of(*splits: ImageSet | None) -> str:
    """SHA-256 (first 16 hex digits) over shapes, labels and a sample of the pixels."""
    sha = hashlib.sha256()
    for split in splits:
        if split is None:
            sha.update(b"none")
            continue
        sha.update(repr(tuple(split.images.shape)).encode())
        sha.update(split.labels.numpy().tobytes())
        sample = split.images[:: max(1, len(split) // 256)]
        sha.update(sample.contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]

"""What data sets there are and which options they take; no torch here: a typo is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneviz.arguments import one_of, whole
from pruneviz.errors import InvalidValueError, UnknownNameError

BUNDLED = ("digits",)
"""They come with PruneViz, and take no option but `size`."""
NAMES = (
    *BUNDLED,
    *("cifar10", "cifar100", "svhn", "fashion_mnist", "flowers102", "caltech101", "folder"),
)
OPTIONS = (
    *("root", "size", "val", "seed", "limit", "preprocessing", "classes_of", "cache_bytes"),
    "progress",
)


def check_data(name: object, options: Mapping[str, Any]) -> None:
    """Check the name of a data set of the catalogue, and the options of `load_dataset`.

    Raises:
        UnknownNameError: there is no such data set or option.
        InvalidValueError: an option out of range, or a missing one.
    """
    called = one_of("data set", name, NAMES)
    known = {"progress", "size"} if called in BUNDLED else set(OPTIONS)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of the data set '{called}':", option, known)
    check_ranges(
        options.get("size"),
        options.get("val"),
        options.get("limit"),
        options.get("seed", 0),
        options.get("cache_bytes", 0),
    )
    if called == "folder" and options.get("root") is None:
        raise InvalidValueError(
            "The data set 'folder' needs root=, the path of a folder or zip of images."
        )


def check_ranges(
    size: int | None, val: float | int | None, limit: int | None, seed: int, cache_bytes: int
) -> None:
    """Raise `InvalidValueError` if an option of `load_dataset` is out of range."""
    if size is not None:
        whole("The size in pixels", size, 8, 1024)
    if limit is not None:
        whole("limit", limit)
    whole("seed", seed, 0)
    whole("cache_bytes", cache_bytes, 0)
    if isinstance(val, float) and not 0 < val < 1:
        raise InvalidValueError(
            f"The fraction of images for validation must be between 0 and 1, but got {val}; "
            "a whole number is a count of images."
        )
    if val is not None and not isinstance(val, float):
        whole("val", val)

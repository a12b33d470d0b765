"""Checks of public functions' arguments, and the errors where they get something else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

from pruneviz.errors import InvalidValueError, PruneVizError, UnknownNameError, shown

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")

LONGEST_PATH = 4_096
"""Bytes of a path; systems have this limit or a lower one."""


def whole(name: str, value: Any, least: int = 1, most: int = 2**63 - 1) -> int:
    """A whole number in least..most. Raises `InvalidValueError` for all else, True included."""
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if not fits or not least <= int(value) <= most:
        up_to = f" to {most:,}" if most < 2**63 - 1 else ""
        raise InvalidValueError(
            f"{name} must be a whole number from {least}{up_to}, but got {shown(value)}."
        )
    return int(value)


def number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """A finite number in low..high. Raises `InvalidValueError` for anything else, NaN included."""
    real = isinstance(value, Real) and value is not True and value is not False
    if not real or not math.isfinite(value) or not low <= float(value) <= high:
        bounds = f"from {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise InvalidValueError(f"{name} must be a number {bounds}, but got {shown(value)}.")
    return float(value)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises `InvalidValueError` unless there are seeds, each a whole number from 0."""
    if not seeds or any(isinstance(seed, bool) or seed < 0 for seed in seeds):
        raise InvalidValueError(
            f"Seeds are one or more whole numbers from 0, but got {list(seeds)}."
        )


def instance(
    name: str,
    value: object,
    kind: type[T],
    remedy: str,
    error: type[PruneVizError] = InvalidValueError,
) -> T:
    """A value of that class; `remedy` says how to get one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise error(f"{name} must be {article} {kind.__name__}, but got {shown(value)}; {remedy}.")
    return value


def one_of(kind: str, name: object, choices: Iterable[str]) -> str:
    """One of the names. Raises `UnknownNameError`, which lists them."""
    listed = list(choices)
    if not isinstance(name, str) or name not in listed:
        raise UnknownNameError(kind, name, listed)
    return name


def path_of(
    name: str, value: object, kind: str, error: type[PruneVizError] = InvalidValueError
) -> str:
    """A path as text; whether the file exists is not checked."""
    if not isinstance(value, str | os.PathLike):
        raise error(f"{name} must be the path of {kind}, but got {shown(value)}.")
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path or len(os.fsencode(path)) > LONGEST_PATH:
        raise error(
            f"{name} must be the path of {kind}, but {shown(path)} cannot be one: it has a NUL, "
            f"is bytes, or is longer than {LONGEST_PATH} bytes."
        )
    return path


def network(model: object) -> nn.Module:
    """The network itself. Raises `InvalidValueError` for anything else."""
    from torch import nn

    return instance("model", model, nn.Module, "pv.load_model(name) gives one")


def several(name: str, values: object, error: type[PruneVizError] = InvalidValueError) -> list[Any]:
    """The items of a list or the like; not of text or bytes, though Python iterates these."""
    if isinstance(values, str | bytes | bytearray | memoryview) or not isinstance(values, Iterable):
        raise error(f"{name} must be a list, but got {shown(values)}; put it in brackets.")
    try:
        return list(values)
    except TypeError:  # a tensor without axes
        raise error(f"{name} must be a list, but got {shown(values)}.") from None

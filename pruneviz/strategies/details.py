"""What lies behind a strategy's step, one dataclass per kind: enough to draw how it decided.

Arrays are numpy's; nothing here needs torch. `encode` and `decode` write them as JSON and read them
back: booleans as bits, scores and norms in eight significant bits (a picture shows no more).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pruneviz.errors import InvalidValueError, shown

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

BULKY = {"bulky": True}
"""Fields that grow with the network: a long run stores them as long as there is room."""


@dataclass(frozen=True, eq=False)
class Removals:
    """Units were ranked and the lowest removed, once or several times since the step before."""

    scores: FloatArray | None = field(metadata=BULKY)
    """(removals, num_units), higher = keep; nan for units that were gone already."""
    kept: BoolArray | None = field(metadata=BULKY)
    """(removals, num_units) True for the units that were left after the removal."""


@dataclass(frozen=True, eq=False)
class Zeroing:
    """Filters were set to zero; they learn again until the next time."""

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    """Filters of each layer."""
    norms: FloatArray | None = field(metadata=BULKY)
    """(filters of all layers,) l2 norms after the epoch, before the zeroing."""
    zeroed: BoolArray | None = field(metadata=BULKY)
    """(filters of all layers,) True for those that were set to zero."""


@dataclass(frozen=True)
class Trial:
    """One trial of a binary search: a number of a group's units were removed."""

    group: str
    width: int
    """Units of the group."""
    low: int
    """Units known to be dispensable before the trial."""
    high: int
    """One more was known to be too many."""
    count: int
    """Units that the trial removed."""
    accuracy: float
    goal: float
    """Accuracy (0..1) at which a trial passes."""

    @property
    def passed(self) -> bool:
        """Whether the network kept its accuracy."""
        return self.accuracy >= self.goal


@dataclass(frozen=True, eq=False)
class Population:
    """A generation of an evolution: all its networks."""

    accuracy: FloatArray
    """(population,) on the images that fitness is measured on."""
    macs: FloatArray
    """(population,) MACs left, as a fraction of the unpruned network's."""
    genes: BoolArray | None = field(metadata=BULKY)
    """(population, prunable units) True for units that stay."""


Details = Removals | Zeroing | Trial | Population
KINDS: dict[str, type[Any]] = {k.__name__: k for k in (Removals, Zeroing, Trial, Population)}


def encode(details: Details, *, bulky: bool = True) -> dict[str, Any]:
    """The details as JSON values; unless `bulky`, without the arrays that grow with the network."""
    values: dict[str, Any] = {"kind": type(details).__name__}
    for item in fields(details):
        value = getattr(details, item.name)
        heavy = bool(item.metadata.get("bulky"))
        if heavy and not bulky:
            value = None
        values[item.name] = _packed(value, rough=heavy) if isinstance(value, np.ndarray) else value
    return values


def decode(values: Mapping[str, Any]) -> Details:
    """Read what `encode` wrote.

    Raises:
        InvalidValueError: The values are none of these kinds.
    """
    rest = dict(values)
    kind = KINDS.get(str(rest.pop("kind", None)))
    if kind is None or {f.name for f in fields(kind)} != rest.keys():
        raise InvalidValueError(
            f"The details of a step are {', '.join(KINDS)} with their fields, but got "
            f"{shown(dict(values))}; the record is damaged, or another version wrote it."
        )
    for name, value in rest.items():
        if isinstance(value, dict):
            rest[name] = unpack(value)
        elif isinstance(value, list):
            rest[name] = tuple(value)
    details: Details = kind(**rest)
    return details


def pack_bits(values: BoolArray) -> dict[str, Any]:
    """Pack booleans of any shape, eight to a byte."""
    return _text("bits", values.shape, np.packbits(values).tobytes())


def _packed(values: npt.NDArray[Any], *, rough: bool) -> dict[str, Any]:
    if values.dtype == np.bool_:
        return pack_bits(values)
    single = np.ascontiguousarray(values, dtype=np.float32)
    if not rough:
        return _text("single", single.shape, single.tobytes())
    # The upper half of a float32, rounded; its two bytes apart, as they then compress better.
    words = single.view(np.uint32).astype(np.uint64)
    upper = ((words + 0x8000) >> 16).astype(np.uint16)
    upper[np.isnan(single)] = 0x7FC0
    apart = upper.reshape(-1, 1).view(np.uint8).T
    return _text("eight bits", single.shape, np.ascontiguousarray(apart).tobytes())


def unpack(stored: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Read an array that `pack_bits` or `encode` wrote."""
    shape = tuple(int(n) for n in stored["shape"])
    count = int(np.prod(shape))
    raw = np.frombuffer(base64.b64decode(stored["data"]), dtype=np.uint8)
    if stored["as"] == "bits":
        return np.unpackbits(raw, count=count).astype(bool).reshape(shape)
    if stored["as"] == "single":
        return raw.view(np.float32).astype(np.float64).reshape(shape)
    upper = np.ascontiguousarray(raw.reshape(2, count).T).view(np.uint16).reshape(count)
    return (upper.astype(np.uint32) << 16).view(np.float32).astype(np.float64).reshape(shape)


def _text(kind: str, shape: tuple[int, ...], raw: bytes) -> dict[str, Any]:
    return {"as": kind, "shape": list(shape), "data": base64.b64encode(raw).decode()}

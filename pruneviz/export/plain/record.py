"""What one forward pass did, module by module: calls of torch functions and of torch's modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Value:
    """A tensor that the pass computed, or its input (number 0)."""

    number: int


@dataclass(frozen=True)
class Stored:
    """A parameter or buffer, by its qualified name."""

    name: str


@dataclass(frozen=True)
class BatchSize:
    """`factor` times the images of a batch, plus `offset`; read off the first dimension of `of`."""

    factor: int
    offset: int
    of: Value


@dataclass(eq=False)
class Op:
    """One call of a torch function."""

    name: str
    """Its full name: "torch.Tensor.add"."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    """A `Value`, a tuple of them, or None."""


@dataclass(eq=False)
class Call:
    """One call of a module of torch's own."""

    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any


@dataclass(eq=False)
class Region:
    """What happened while one module ran."""

    path: str
    body: list[Event] = field(default_factory=list)


Event = Op | Call | Region


@dataclass(eq=False)
class Record:
    """A whole pass: its events, its output, and what was seen of each value."""

    root: Region
    output: Value
    shapes: dict[int, tuple[int, ...]]
    constants: dict[str, Tensor]
    """Tensors that are neither parameters nor buffers nor computed, by the name they are given."""


def references(thing: Any) -> Iterator[Value | Stored]:
    """Every value and stored tensor in nested arguments."""
    if isinstance(thing, (Value, Stored)):
        yield thing
    elif isinstance(thing, BatchSize):
        yield thing.of
    elif isinstance(thing, (tuple, list)):
        for item in thing:
            yield from references(item)
    elif isinstance(thing, dict):
        for item in thing.values():
            yield from references(item)
    elif isinstance(thing, slice):
        yield from references((thing.start, thing.stop, thing.step))


def values(thing: Any) -> list[Value]:
    """Every value in nested arguments, in order."""
    return [r for r in references(thing) if isinstance(r, Value)]


def leaves(region: Region) -> Iterator[Op | Call]:
    """Every call of a region and of those within it, in order."""
    for event in region.body:
        if isinstance(event, Region):
            yield from leaves(event)
        else:
            yield event

"""What a recording knows of the tensors that live while a forward pass runs.

Every tensor is a numbered value, a parameter, or a constant. Values that share memory know of each
other, so that a change through one of them is seen by all that are read later.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.replay.program import Meta, Name, Nest, NotReplayableError, Op, Ref, named, references
from pruneviz.torch_calls import tensors_in

Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(slots=True)
class Memory:
    """A piece of memory that values may share: who it is now, and how often it was changed."""

    whole: int  # the value that covers it
    geometry: Geometry
    changes: int = 0


@dataclass(slots=True)
class Seen:
    """A live tensor of the forward pass."""

    value: int
    memory: Memory | None  # None: not the tape's (a parameter, a constant)
    changes: int
    geometry: Geometry
    alive: weakref.ref[Tensor]
    leaf: Name | None = None


def geometry_of(t: Tensor) -> Geometry:
    """Return shape, strides and offset."""
    return tuple(t.shape), tuple(t.stride()), int(t.storage_offset())


def storage_of(t: Tensor) -> int:
    """Return what is equal for tensors that share memory."""
    return int(t.untyped_storage()._cdata)


class Ledger:
    """Numbers results, remembers who is who, and turns arguments into templates."""

    def __init__(self, model: nn.Module) -> None:
        self.ops: list[Op] = []
        self.metas: dict[int, Meta] = {}
        self.seen: dict[int, Seen] = {}
        self.state: dict[str, Tensor] = {}
        self.aliases: dict[str, str] = {}
        self.keep: list[Tensor] = []
        by_id: dict[int, str] = {}
        for name, tensor in _named_tensors(model):
            first = by_id.setdefault(id(tensor), name)
            self.aliases[name] = first
            if first == name:
                self.state[name] = tensor.detach()
                self.note(tensor, -1, None, Name(name))
                self.keep.append(tensor)
        for tensor in _constants(model):
            if id(tensor) not in self.seen:
                self.note(tensor, -1, None)
                self.keep.append(tensor)

    def note(self, t: Tensor, value: int, memory: Memory | None, leaf: Name | None = None) -> Seen:
        """Remember a live tensor."""
        key = id(t)
        changes = memory.changes if memory else 0
        seen = Seen(value, memory, changes, geometry_of(t), weakref.ref(t), leaf)
        self.seen[key] = seen
        return seen

    def new(self, t: Tensor, memory: Memory | None = None, foreign: bool = False) -> int:
        """Number a result; `memory` is the one it shares, `foreign` that of a parameter."""
        value = len(self.metas)
        if memory is None and not foreign:
            memory = Memory(value, geometry_of(t))
        root = -1
        if memory is not None:
            root = value if memory.whole == value else self.metas[memory.whole].root
        self.metas[value] = Meta(tuple(t.shape), t.dtype, root)
        self.note(t, value, memory)
        return value

    def look(self, t: Tensor) -> Seen | None:
        """Return what is known of a tensor."""
        seen = self.seen.get(id(t))
        return seen if seen is not None and seen.alive() is t else None

    def template(self, item: Any, label: str) -> Any:
        """Turn an argument into a template, reading each tensor as it is now."""
        if isinstance(item, Tensor):
            return self.read(item, label)
        if type(item) in (list, tuple, torch.Size):
            parts = tuple(self.template(i, label) for i in item)
            if references(*parts) or named(*parts):
                return Nest(list if isinstance(item, list) else tuple, parts)
            return list(item) if isinstance(item, list) else item
        if isinstance(item, dict):
            keys, parts = list(item), tuple(self.template(i, label) for i in item.values())
            if references(*parts) or named(*parts):
                return Nest(lambda items: dict(zip(keys, items, strict=True)), parts)
            return dict(item)
        if isinstance(item, slice) and any(
            isinstance(s, Tensor) for s in (item.start, item.stop, item.step)
        ):
            raise NotReplayableError(f"{label} slices by a tensor's value")
        return item

    def read(self, t: Tensor, label: str) -> Any:
        """Return the template of a tensor as it is now."""
        seen = self.look(t)
        if seen is None:
            raise NotReplayableError(
                f"{label} reads a tensor that no recorded operation made (a compiled module, a "
                "custom autograd function, or a tensor from outside the model)"
            )
        if geometry_of(t) != seen.geometry:
            raise NotReplayableError(f"{label} reads a tensor whose shape was changed in place")
        if seen.leaf is not None:
            return seen.leaf
        if seen.value < 0:
            return t.detach()
        memory = seen.memory
        if memory is not None and seen.changes != memory.changes:
            self._refresh(t, seen, memory, label)
            seen = self.seen[id(t)]
        return Ref(seen.value)

    def _refresh(self, t: Tensor, seen: Seen, memory: Memory, label: str) -> None:
        """Read again, through its memory, a view whose memory was changed by someone else."""
        if seen.geometry == memory.geometry:
            self.note(t, memory.whole, memory)
            return
        shape, stride, offset = seen.geometry
        shift = offset - memory.geometry[2]
        value = self.new(t, memory)
        self.ops.append(
            Op(
                torch.as_strided,
                (Ref(memory.whole), shape, stride, shift),
                {},
                (value,),
                (memory.whole,),
                frozenset(),
                label=f"view read by {label}",
            )
        )


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _constants(model: nn.Module) -> Iterator[Tensor]:
    """Yield the plain tensors that modules carry as attributes."""
    stored = ("_parameters", "_buffers", "_modules")
    for module in model.modules():
        yield from tensors_in([v for k, v in vars(module).items() if k not in stored])

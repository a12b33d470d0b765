"""Record a forward pass, operation by operation, as a `Program`.

A `TorchFunctionMode` sees every torch function that the forward pass calls, wherever in Python it
is called from: modules, functional calls, operators, hooks. What it cannot see (a compiled module,
a custom autograd function) shows up as a tensor from nowhere, and what depends on the data (an
`if` on a value) as a number read from a tensor: both raise `NotReplayableError`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruneviz.replay.functional import DATA_SHAPED, METADATA, Copied, name_of, pure
from pruneviz.replay.program import (
    Meta,
    Name,
    Nest,
    NotReplayableError,
    Op,
    Program,
    Ref,
    named,
    references,
    tensors,
)

Geometry = tuple[tuple[int, ...], tuple[int, ...], int]


@dataclass(slots=True)
class _Memory:
    """A piece of memory that values may share: who it is now, and how often it was changed."""

    whole: int  # the value that covers it
    geometry: Geometry
    device: torch.device
    changes: int = 0


@dataclass(slots=True)
class _Seen:
    """A live tensor of the forward pass."""

    value: int
    memory: _Memory | None  # None: not the tape's (a parameter, a constant)
    changes: int
    geometry: Geometry
    alive: weakref.ref[Tensor]
    leaf: Name | None = None


def _geometry(t: Tensor) -> Geometry:
    return tuple(t.shape), tuple(t.stride()), int(t.storage_offset())


def _storage(t: Tensor) -> int:
    return int(t.untyped_storage()._cdata)


def record(model: nn.Module, images: Tensor) -> Program:
    """Run the model once on `images` (N, C, H, W) and return what it did as a program.

    The model must be in eval mode. Raises `NotReplayableError` where the pass depends on data,
    randomness, or operations that torch's function mode does not show.
    """
    if any(m.training for m in model.modules()):
        raise NotReplayableError("the model is in training mode")
    if any(hasattr(m, "_orig_mod") for m in model.modules()):
        raise NotReplayableError("the model is compiled")
    tape = _Recorder(model, images)
    before = torch.get_rng_state()
    with torch.no_grad(), tape:
        result = model(tape.input)
    if not torch.equal(before, torch.get_rng_state()):
        raise NotReplayableError("the forward pass draws random numbers")
    return tape.finish(result)


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.metas: dict[int, Meta] = {}
        self.seen: dict[int, _Seen] = {}
        self.state: dict[str, Tensor] = {}
        self.aliases: dict[str, str] = {}
        self.keep: list[Tensor] = []
        self.autocast = torch.is_autocast_enabled(images.device.type)
        by_id: dict[int, str] = {}
        for name, tensor in _named_tensors(model):
            first = by_id.setdefault(id(tensor), name)
            self.aliases[name] = first
            if first == name:
                self.state[name] = tensor.detach()
                self._note(tensor, -1, None, Name(name))
                self.keep.append(tensor)
        for tensor in _constants(model):
            if id(tensor) not in self.seen:
                self._note(tensor, -1, None)
                self.keep.append(tensor)
        self.input = images.detach().clone()
        self._new(self.input)

    # -- what is known of a tensor ------------------------------------------------------------

    def _note(
        self, t: Tensor, value: int, memory: _Memory | None, leaf: Name | None = None
    ) -> _Seen:
        key = id(t)
        changes = memory.changes if memory else 0
        seen = _Seen(value, memory, changes, _geometry(t), weakref.ref(t), leaf)
        self.seen[key] = seen
        return seen

    def _new(self, t: Tensor, memory: _Memory | None = None, foreign: bool = False) -> int:
        """Number a result; `memory` is the one it shares, `foreign` that of a parameter."""
        value = len(self.metas)
        if memory is None and not foreign:
            memory = _Memory(value, _geometry(t), t.device)
        root = -1
        if memory is not None:
            root = value if memory.whole == value else self.metas[memory.whole].root
        self.metas[value] = Meta(tuple(t.shape), t.dtype, root)
        self._note(t, value, memory)
        return value

    def _look(self, t: Tensor) -> _Seen | None:
        seen = self.seen.get(id(t))
        return seen if seen is not None and seen.alive() is t else None

    def _template(self, item: Any, label: str) -> Any:
        """Turn an argument into a template, reading each tensor as it is now."""
        if isinstance(item, Tensor):
            return self._read(item, label)
        if type(item) in (list, tuple, torch.Size):
            parts = tuple(self._template(i, label) for i in item)
            if references(*parts) or named(*parts):
                return Nest(list if isinstance(item, list) else tuple, parts)
            return list(item) if isinstance(item, list) else item
        if isinstance(item, dict):
            keys, parts = list(item), tuple(self._template(i, label) for i in item.values())
            if references(*parts) or named(*parts):
                return Nest(lambda items: dict(zip(keys, items, strict=True)), parts)
            return dict(item)
        if isinstance(item, slice) and any(isinstance(s, Tensor) for s in _slice(item)):
            raise NotReplayableError(f"{label} slices by a tensor's value")
        return item

    def _read(self, t: Tensor, label: str) -> Any:
        seen = self._look(t)
        if seen is None:
            raise NotReplayableError(
                f"{label} reads a tensor that no recorded operation made (a compiled module, a "
                "custom autograd function, or a tensor from outside the model)"
            )
        if _geometry(t) != seen.geometry:
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

    def _refresh(self, t: Tensor, seen: _Seen, memory: _Memory, label: str) -> None:
        """Read again, through its memory, a view whose memory was changed by someone else."""
        if seen.geometry == memory.geometry:
            self._note(t, memory.whole, memory)
            return
        shape, stride, offset = seen.geometry
        shift = offset - memory.geometry[2]
        value = self._new(t, memory)
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

    # -- calls -----------------------------------------------------------------------------------

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        label = name_of(func)
        inputs = list(_tensors_of((args, kwargs)))
        if torch.is_autocast_enabled(self.input.device.type) != self.autocast:
            raise NotReplayableError(f"{label} runs under an autocast of its own")
        if label in DATA_SHAPED or _masks(label, args):
            raise NotReplayableError(f"the shape of what {label} returns depends on the data")
        versions = [_version(t, label) for t in inputs]
        # Templates first: afterwards an in-place call has changed what it read.
        plain = pure(func, args, kwargs)
        call_args, call_kwargs = (plain.args, plain.kwargs) if plain else (args, kwargs)
        templates = tuple(self._template(a, label) for a in call_args)
        keywords = {k: self._template(a, label) for k, a in call_kwargs.items()}
        result = func(*args, **kwargs)
        changed = [t for t, v in zip(inputs, versions, strict=True) if t._version != v]
        changed = list({id(t): t for t in changed}.values())
        if changed:
            settled = plain is not None and plain.call is not func
            self._change(func, args, kwargs, changed, label, settled, templates, keywords, plain)
            self._results_of_change(result, changed[0], label)
            return result
        outputs = tensors(result)
        if not outputs:
            if result is not None and label not in METADATA and inputs:
                raise NotReplayableError(f"{label} reads a tensor's values into Python")
            if result is None and label.endswith("="):
                raise NotReplayableError(f"sets '{label[:-1]}' of a tensor")
            return result
        if all(any(o is i for i in inputs) for o in outputs):
            return result  # handed back as it came (dropout in eval mode, .contiguous(), .to())
        if plain is None:
            raise NotReplayableError(f"{label} cannot be repeated")
        self._append(plain.call, templates, keywords, outputs, inputs, plain, label)
        return result

    def _append(
        self,
        call: Callable[..., Any],
        templates: tuple[Any, ...],
        keywords: dict[str, Any],
        outputs: list[Tensor],
        inputs: list[Tensor],
        plain: Any,
        label: str,
    ) -> None:
        owners = {_storage(t): s for t in inputs if (s := self._look(t)) is not None}
        fresh: set[int] = set()
        writes = []
        for output in outputs:
            if type(output) is not Tensor:
                raise NotReplayableError(f"{label} returns a {type(output).__name__}")
            owner = owners.get(_storage(output))
            if owner is None and _storage(output) in fresh:
                raise NotReplayableError(f"the results of {label} share memory")
            fresh.add(_storage(output))
            memory = None if owner is None else owner.memory
            writes.append(self._new(output, memory, foreign=owner is not None and memory is None))
        everything = (*templates, *keywords.values())
        self.ops.append(
            Op(
                call,
                templates,
                keywords,
                tuple(writes),
                references(*everything),
                named(*everything),
                plain.reuse if len(writes) == 1 else {},
                plain.fresh,
                label,
            )
        )

    def _change(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        changed: list[Tensor],
        label: str,
        settled: bool,
        templates: tuple[Any, ...],
        keywords: dict[str, Any],
        plain: Any,
    ) -> None:
        """Record an in-place call as an operation that makes a new value of the same memory."""
        target = changed[0]
        seen = self._look(target)
        if len(changed) > 1 or seen is None:
            raise NotReplayableError(f"{label} changes several tensors in place")
        memory = seen.memory
        if memory is None:
            raise NotReplayableError(f"{label} changes a parameter or buffer in place")
        whole = seen.geometry == memory.geometry
        reuse: Any = {}
        call: Callable[..., Any]
        if settled and whole:
            call, reuse = plain.call, plain.reuse
        else:
            position = _position(target, args, kwargs)
            if position is None:
                raise NotReplayableError(f"{label} changes a tensor inside a list in place")
            view = None
            if not whole:
                shape, stride, offset = seen.geometry
                if not _dense(memory.geometry):
                    raise NotReplayableError(f"{label} changes a view of a view in place")
                view = (shape, stride, offset - memory.geometry[2])
            call = Copied(func, position, view)
            if settled:  # the templates are those of the pure form; make them anew
                templates = tuple(self._stale(a, target, memory, label) for a in args)
                keywords = {k: self._stale(a, target, memory, label) for k, a in kwargs.items()}
            if isinstance(position, int):
                templates = templates[:position] + templates[position + 1 :]
            else:
                keywords = {k: v for k, v in keywords.items() if k != position}
            templates = (Ref(memory.whole), *templates)
        value = len(self.metas)
        old = self.metas[memory.whole]
        self.metas[value] = Meta(old.shape, old.dtype, value)
        everything = (*templates, *keywords.values())
        self.ops.append(
            Op(
                call,
                templates,
                keywords,
                (value,),
                references(*everything),
                named(*everything),
                reuse,
                fresh=True,
                label=label,
            )
        )
        memory.whole, memory.changes = value, memory.changes + 1
        if whole:
            self._note(target, value, memory)

    def _stale(self, item: Any, target: Tensor, memory: _Memory, label: str) -> Any:
        return None if item is target else self._template(item, label)

    def _results_of_change(self, result: Any, target: Tensor, label: str) -> None:
        """An in-place call returns what it changed, or a new view of it, or nothing."""
        seen = self._look(target)
        for output in tensors(result):
            if output is target:
                continue
            if seen is None or seen.memory is None or _storage(output) != _storage(target):
                raise NotReplayableError(f"{label} both changes a tensor and makes another")
            noted = self._note(output, -2, seen.memory)
            noted.changes = -1  # read through the memory when it is needed

    def finish(self, result: Any) -> Program:
        output = self._template(result, "the output")
        if not references(output):
            raise NotReplayableError("the output holds no tensor that the forward pass made")
        return Program(tuple(self.ops), output, self.metas, self.state, self.aliases)


def _version(t: Tensor, label: str) -> int:
    if t.is_inference():
        raise NotReplayableError(f"{label} reads a tensor made in inference mode")
    return t._version


def _slice(item: slice) -> tuple[Any, Any, Any]:
    return item.start, item.stop, item.step


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _constants(model: nn.Module) -> Iterator[Tensor]:
    """Yield the plain tensors that modules carry as attributes."""
    for module in model.modules():
        yield from _tensors_of(
            [v for k, v in vars(module).items() if k not in ("_parameters", "_buffers", "_modules")]
        )


def _tensors_of(item: Any) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, (list, tuple)):
        for part in item:
            yield from _tensors_of(part)
    elif isinstance(item, dict):
        for part in item.values():
            yield from _tensors_of(part)


def _masks(label: str, args: tuple[Any, ...]) -> bool:
    """Whether the call indexes by a mask, or asks `where` for positions."""
    if label == "where":
        return len(args) == 1
    if label != "__getitem__" or len(args) < 2:
        return False
    return any(t.dtype in (torch.bool, torch.uint8) for t in _tensors_of(args[1]))


def _position(target: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | str | None:
    for index, item in enumerate(args):
        if item is target:
            return index
    return next((k for k, v in kwargs.items() if v is target), None)


def _dense(geometry: Geometry) -> bool:
    """Whether a tensor fills its memory without gaps or overlaps."""
    shape, stride, _ = geometry
    expected = 1
    for s, n in sorted((s, n) for n, s in zip(shape, stride, strict=True) if n != 1):
        if s != expected:
            return False
        expected *= n
    return True

"""Record a forward pass, operation by operation, as a `Program`.

What a `CallWatcher` cannot see (a compiled module, a custom autograd function) shows up as a tensor
from nowhere, and what depends on the data (an
`if` on a value) as a number read from a tensor: both raise `NotReplayableError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.replay.functional import DATA_SHAPED, METADATA, Copied, name_of, pure
from pruneviz.replay.ledger import Geometry, Ledger, Memory, storage_of
from pruneviz.replay.program import (
    Meta,
    NotReplayableError,
    Op,
    Program,
    Ref,
    named,
    references,
)
from pruneviz.torch_calls import CallWatcher, tensors_in


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
    before = _random_state(images)
    with torch.no_grad(), tape:
        result = model(tape.input)
    if not torch.equal(before, _random_state(images)):
        raise NotReplayableError("the forward pass draws random numbers")
    return tape.finish(result)


def _random_state(images: Tensor) -> Tensor:
    own = torch.cuda.get_rng_state(images.device) if images.is_cuda else torch.empty(0)
    return torch.cat([torch.get_rng_state(), own.to(torch.uint8)])


class _Recorder(CallWatcher):
    """Sees each call, lets it happen, and writes it down in a form that can be repeated."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.ledger = Ledger(model)
        self.autocast = torch.is_autocast_enabled(images.device.type)
        self.input = images.detach().clone()
        self.ledger.new(self.input)

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        label = name_of(func)
        inputs = list(tensors_in((args, kwargs)))
        if torch.is_autocast_enabled(self.input.device.type) != self.autocast:
            raise NotReplayableError(f"{label} runs under its own autocast")
        if label in DATA_SHAPED or _masks(label, args):
            raise NotReplayableError(f"the shape of what {label} returns depends on the data")
        versions = [_version(t, label) for t in inputs]
        # Templates first: afterwards an in-place call has changed what it read.
        plain = pure(func, args, kwargs)
        call_args, call_kwargs = (plain.args, plain.kwargs) if plain else (args, kwargs)
        templates = tuple(self.ledger.template(a, label) for a in call_args)
        keywords = {k: self.ledger.template(a, label) for k, a in call_kwargs.items()}
        result = func(*args, **kwargs)
        changed = [t for t, v in zip(inputs, versions, strict=True) if t._version != v]
        changed = list({id(t): t for t in changed}.values())
        if changed:
            settled = plain is not None and plain.call is not func
            self._change(func, args, kwargs, changed, label, settled, templates, keywords, plain)
            self._results_of_change(result, changed[0], label)
            return result
        outputs = list(tensors_in(result))
        if not outputs:
            if result is not None and label not in METADATA and inputs:
                raise NotReplayableError(f"{label} reads a tensor's values into Python")
            if result is None and label.endswith("="):
                raise NotReplayableError(f"sets '{label[:-1]}' of a tensor")
            return result
        if all(any(o is i for i in inputs) for o in outputs):
            return result  # returned unchanged (dropout in eval mode, .contiguous(), .to())
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
        owners = {storage_of(t): s for t in inputs if (s := self.ledger.look(t)) is not None}
        fresh: set[int] = set()
        writes = []
        for output in outputs:
            if type(output) is not Tensor:
                raise NotReplayableError(f"{label} returns a {type(output).__name__}")
            owner = owners.get(storage_of(output))
            if owner is None and storage_of(output) in fresh:
                raise NotReplayableError(f"the results of {label} share memory")
            fresh.add(storage_of(output))
            memory = None if owner is None else owner.memory
            writes.append(
                self.ledger.new(output, memory, foreign=owner is not None and memory is None)
            )
        reuse = plain.reuse if len(writes) == 1 else {}
        self._write(call, templates, keywords, tuple(writes), reuse, plain.fresh, label)

    def _write(
        self,
        call: Callable[..., Any],
        templates: tuple[Any, ...],
        keywords: dict[str, Any],
        writes: tuple[int, ...],
        reuse: Any,
        fresh: bool,
        label: str,
    ) -> None:
        """Append one operation to the ledger."""
        parts = (*templates, *keywords.values())
        reads, names = references(*parts), named(*parts)
        op = Op(call, templates, keywords, writes, reads, names, reuse, fresh, label)
        self.ledger.ops.append(op)

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
        seen = self.ledger.look(target)
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
            if settled:  # the templates are those of the pure form; rebuild them
                templates = tuple(self._stale(a, target, memory, label) for a in args)
                keywords = {k: self._stale(a, target, memory, label) for k, a in kwargs.items()}
            if isinstance(position, int):
                templates = templates[:position] + templates[position + 1 :]
            else:
                keywords = {k: v for k, v in keywords.items() if k != position}
            templates = (Ref(memory.whole), *templates)
        value = len(self.ledger.metas)
        old = self.ledger.metas[memory.whole]
        self.ledger.metas[value] = Meta(old.shape, old.dtype, value)
        self._write(call, templates, keywords, (value,), reuse, True, label)
        memory.whole, memory.changes = value, memory.changes + 1
        if whole:
            self.ledger.note(target, value, memory)

    def _stale(self, item: Any, target: Tensor, memory: Memory, label: str) -> Any:
        return None if item is target else self.ledger.template(item, label)

    def _results_of_change(self, result: Any, target: Tensor, label: str) -> None:
        """An in-place call returns what it changed, or a new view of it, or nothing."""
        seen = self.ledger.look(target)
        for output in tensors_in(result):
            if output is target:
                continue
            if seen is None or seen.memory is None or storage_of(output) != storage_of(target):
                raise NotReplayableError(f"{label} both changes a tensor and makes another")
            noted = self.ledger.note(output, -2, seen.memory)
            noted.changes = -1  # read through the memory when it is needed

    def finish(self, result: Any) -> Program:
        """Return the program, given what the model returned."""
        ledger = self.ledger
        output = ledger.template(result, "the output")
        if not references(output):
            raise NotReplayableError("the output holds no tensor that the forward pass made")
        return Program(tuple(ledger.ops), output, ledger.metas, ledger.state, ledger.aliases)


def _version(t: Tensor, label: str) -> int:
    if t.is_inference():
        raise NotReplayableError(f"{label} reads a tensor made in inference mode")
    return t._version


def _masks(label: str, args: tuple[Any, ...]) -> bool:
    """Whether the call indexes by a mask, or asks `where` for positions."""
    if label == "where":
        return len(args) == 1
    if label != "__getitem__" or len(args) < 2:
        return False
    return any(t.dtype in (torch.bool, torch.uint8) for t in tensors_in(args[1]))


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

"""A forward pass as a list of operations on numbered values: what a tape records and replays.

Value 0 is the input. An operation's arguments are a template: constants as they are, earlier
results as `Ref`, parameters and buffers as `Name`. Nothing here is in place: an operation that
changed a tensor makes a new value, so that any part can be run again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pruneviz.torch_calls import tensors_in

INPUT = 0


class NotReplayableError(Exception):
    """A forward pass that cannot be recorded faithfully; says which operation and why.

    Callers catch it and run the whole model instead.
    """


@dataclass(frozen=True, slots=True)
class Ref:
    """The value that an earlier operation made."""

    value: int


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter or buffer of the model, or something derived from several of them."""

    name: str


@dataclass(frozen=True, slots=True)
class Nest:
    """A list, tuple or dict among whose items are references."""

    build: Callable[[list[Any]], Any]
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: `writes = call(*args, **kwargs)`.

    `reuse`, where there is one, computes the same values into the memory of the argument at that
    position (which must then not be needed any more). `fresh` says that the result never shares
    memory with anything else, whatever the arguments' layout.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    writes: tuple[int, ...]
    reads: tuple[int, ...]
    names: frozenset[str]
    reuse: Mapping[int, Callable[..., Any]] = field(default_factory=dict)
    fresh: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """A tensor computed from parameters alone, once for a set of weights (a folded norm)."""

    sources: tuple[str, ...]
    compute: Callable[..., Tensor]
    scaled: str | None = None  # the source whose zeroed columns are zero here too
    dense: str | None = None  # the name of the same tensor in an ordinary layout


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of a value without computing it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    root: int  # the value whose memory it shares; itself where it has its own; -1: not the tape's

    @property
    def nbytes(self) -> int:
        """Bytes of the value."""
        count = 1
        for size in self.shape:
            count *= size
        return count * self.dtype.itemsize


@dataclass(frozen=True)
class Program:
    """A recorded forward pass: `ops` in order, `output` a template, `state` name -> tensor."""

    ops: tuple[Op, ...]
    output: Any
    metas: Mapping[int, Meta]
    state: Mapping[str, Tensor]
    aliases: Mapping[str, str]  # every name of a shared parameter -> the one used here
    derived: Mapping[str, Derived] = field(default_factory=dict)

    def readers(self) -> dict[int, list[int]]:
        """Value -> the operations that read it, in order; the output reads as `len(ops)`."""
        readers: dict[int, list[int]] = {}
        for index, op in enumerate(self.ops):
            for value in op.reads:
                readers.setdefault(value, []).append(index)
        for value in references(self.output):
            readers.setdefault(value, []).append(len(self.ops))
        return readers


def leaves(template: Any) -> Iterator[Any]:
    """Yield what a template is made of, left to right."""
    if type(template) is Nest:
        for item in template.items:
            yield from leaves(item)
    else:
        yield template


def references(*templates: Any) -> tuple[int, ...]:
    """Return the values that templates refer to, each once."""
    values = [leaf.value for t in templates for leaf in leaves(t) if type(leaf) is Ref]
    return tuple(dict.fromkeys(values))


def named(*templates: Any) -> frozenset[str]:
    """Return the parameters that templates refer to."""
    return frozenset(leaf.name for t in templates for leaf in leaves(t) if type(leaf) is Name)


def bind(template: Any, values: Mapping[int, Tensor], env: Mapping[str, Any]) -> Any:
    """Put the tensors into a template."""
    kind = type(template)
    if kind is Ref:
        return values[template.value]
    if kind is Name:
        return env[template.name]
    if kind is Nest:
        return template.build([bind(item, values, env) for item in template.items])
    return template


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a schedule: which argument's memory it may take, what is free after it."""

    op: Op
    call: Callable[..., Any]
    free: tuple[int, ...]


def dirty(program: Program, changed: Iterable[str]) -> list[int]:
    """Return the operations that depend on a changed parameter, in order."""
    names = {program.aliases.get(name, name) for name in changed}
    touched: set[int] = set()
    indices = []
    for index, op in enumerate(program.ops):
        if not names.isdisjoint(op.names) or not touched.isdisjoint(op.reads):
            indices.append(index)
            touched.update(op.writes)
    return indices


def boundary(program: Program, changing: Iterable[str]) -> frozenset[int]:
    """Return the values that replays may read as recorded, when only `changing` ever changes.

    The operations to redo for several parameters are the union of those for each, so what they
    read unchanged is among what each of them reads unchanged: one parameter at a time suffices.
    """
    kept: set[int] = set(references(program.output))
    for name in {program.aliases.get(n, n) for n in changing}:
        written: set[int] = set()
        for index in dirty(program, [name]):
            op = program.ops[index]
            kept.update(v for v in op.reads if v not in written)
            written.update(op.writes)
    return frozenset(kept)


def schedule(program: Program, indices: Iterable[int], keep: frozenset[int]) -> tuple[Step, ...]:
    """Order operations with what may be freed after each, and which may work in place.

    An operation may take an argument's memory when nothing else that shares this memory is kept
    or read later, and when the memory was made by this very schedule.
    """
    ops = [program.ops[i] for i in indices]
    roots = {value: meta.root for value, meta in program.metas.items()}
    written = {v for op in ops for v in op.writes}
    fresh = {v for op in ops if op.fresh for v in op.writes}
    kept_roots = {roots[v] for v in keep}
    last: dict[int, int] = {}
    last_of_root: dict[int, int] = {}
    for position, op in enumerate(ops):
        for value in (*op.reads, *op.writes):
            last[value] = position
            last_of_root[roots[value]] = position
    steps = []
    for position, op in enumerate(ops):
        call = op.call
        for argument, reuse in op.reuse.items():
            template = op.args[argument] if argument < len(op.args) else None
            if type(template) is not Ref:
                continue
            value, root = template.value, roots[template.value]
            mine = root in fresh and root not in kept_roots
            if mine and last_of_root[root] == position and _alone(op, value, root, roots):
                call = reuse
                break
        free = tuple(
            v
            for v in dict.fromkeys((*op.reads, *op.writes))
            if v in written and v not in keep and last[v] == position
        )
        steps.append(Step(op, call, free))
    return tuple(steps)


def _alone(op: Op, value: int, root: int, roots: Mapping[int, int]) -> bool:
    """Whether no other argument of the operation shares the memory of `value`."""
    return all(v == value or roots[v] != root for v in op.reads) and (
        sum(leaf == Ref(value) for t in (*op.args, *op.kwargs.values()) for leaf in leaves(t)) == 1
    )


def execute(
    steps: Iterable[Step], values: dict[int, Tensor], env: Mapping[str, Any]
) -> dict[int, Tensor]:
    """Run the steps over `values` (which it fills and thins out) and return them."""
    for step in steps:
        op = step.op
        args = [bind(a, values, env) for a in op.args]
        kwargs = {k: bind(a, values, env) for k, a in op.kwargs.items()}
        result = step.call(*args, **kwargs)
        if type(result) is Tensor:
            values[op.writes[0]] = result
        else:
            values.update(zip(op.writes, tensors_in(result), strict=True))
        del args, kwargs, result
        for value in step.free:
            values.pop(value, None)
    return values

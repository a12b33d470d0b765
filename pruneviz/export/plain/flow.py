"""From the recorded calls to the text of each module's forward."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from pruneviz.export.plain.expressions import arguments, expression
from pruneviz.export.plain.names import Names
from pruneviz.export.plain.record import (
    Call,
    Event,
    Op,
    Record,
    Region,
    Stored,
    Value,
    leaves,
    values,
)
from pruneviz.export.plain.tree import Layout, Program

_TAKEN = {"Parts", "Path", "OrderedDict", "F", "nn", "torch", "build", "load"}


@dataclass(frozen=True)
class _Text:
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    lines: tuple[str, ...]
    parameters: tuple[str, ...] = ()


@dataclass(eq=False)
class _Span:
    """What a region reads and passes on, among all calls of the pass."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


class Reopen(Exception):  # noqa: N818 - no error: the arrangement begins again
    """A module cannot have a forward of its own: its calls go into its owner's."""

    def __init__(self, path: str) -> None:
        self.path = path


def arrange(record: Record, layout: Layout) -> Program:
    """Return the text of every module's forward.

    A module whose code reaches outside it, or that does something else at each call, has no forward
    of its own; its owner's forward does the work.
    """
    _drop_unused(record, layout)
    opened: set[str] = set()
    while True:
        try:
            return _Arranger(record, layout, opened).program()
        except Reopen as reopen:
            if reopen.path in opened or not reopen.path:
                raise AssertionError(f"'{reopen.path}' was opened already") from None
            opened.add(reopen.path)


def _drop_unused(record: Record, layout: Layout) -> None:
    """Remove calls whose results nobody reads, and regions in which nothing is left."""
    needed = {record.output}

    def changes(event: Op | Call) -> bool:
        if isinstance(event, Call):
            return bool(getattr(layout.modules[event.path], "inplace", False))
        short = event.name.rsplit(".", 1)[-1]
        inside = short.endswith("_") and not short.endswith("__")
        return inside or short == "__setitem__" or short.startswith("__i") or "out" in event.kwargs

    def sweep(region: Region) -> None:
        kept: list[Event] = []
        for event in reversed(region.body):
            if isinstance(event, Region):
                sweep(event)
                if event.body:
                    kept.append(event)
            elif changes(event) or needed & set(values(event.out)):
                needed.update(values((event.args, event.kwargs)))
                kept.append(event)
        region.body = kept[::-1]

    sweep(record.root)


class _Arranger:
    def __init__(self, record: Record, layout: Layout, opened: set[str]) -> None:
        self.record, self.layout, self.opened = record, layout, opened
        self.spans = _spans(record)
        self.texts: dict[str, _Text] = {}
        self.kinds: dict[str, str] = {}
        self.classes: dict[tuple[str, tuple[str, ...]], str] = {}
        self.code: dict[str, str] = {}

    def program(self) -> Program:
        self._write(self.record.root)
        return Program(tuple(self.code.values()), self.kinds)

    def _write(self, region: Region) -> None:
        """Write a class for a region, after those for the regions within it."""
        for event in self._items(region):
            if isinstance(event, Region):
                self._write(event)
        if self._is_sequence(region):
            self._settle(region.path, "nn.Sequential", _Text((), (), ("sequence",)))
            return
        text = self._forward(region)
        self._settle(region.path, None, text)

    def _settle(self, path: str, kind: str | None, text: _Text) -> None:
        before = self.texts.get(path)
        if before is not None and (before.lines, before.parameters) != (
            text.lines,
            text.parameters,
        ):
            raise Reopen(path)
        self.texts[path] = text
        self.kinds[path] = kind or self._class(path, text)

    def _class(self, path: str, text: _Text) -> str:
        module = self.layout.modules[path]
        wanted = re.sub(r"\W", "_", type(module).__name__)
        key = (wanted, (*text.parameters, *text.lines))
        if key not in self.classes:
            name, number = wanted, 2
            while name in self.code or name in _TAKEN:
                name, number = f"{wanted}{number}", number + 1
            self.classes[key] = name
            given = ", ".join(("self", *text.parameters))
            body = "".join(f"        {line}\n" for line in text.lines)
            self.code[name] = f"class {name}(Parts):\n    def forward({given}):\n{body}"
        return self.classes[key]

    def _items(self, region: Region) -> Iterator[Event]:
        """The items of a region's forward; modules without a forward are expanded."""
        for event in region.body:
            if isinstance(event, Region) and event.path in self.opened:
                yield from self._items(event)
            else:
                yield event

    def _inside(self, owner: str, path: str) -> None:
        if owner and not path.startswith(f"{owner}."):
            raise Reopen(owner)

    def _ends(self, event: Event) -> tuple[list[Value], list[Value]]:
        """What an item reads and passes on."""
        if isinstance(event, Region):
            span = self.spans[id(event)]
            return list(span.inputs), list(span.outputs)
        return values((event.args, event.kwargs)), values(event.out)

    def _is_sequence(self, region: Region) -> bool:
        """Whether `nn.Sequential` is enough: children in order, each reading the previous one."""
        module = self.layout.modules[region.path]
        own = type(module).forward is nn.Sequential.forward if _sequential(module) else False
        if not own or region.path in self.opened:
            return False
        span = self.spans[id(region)]
        if len(span.inputs) != 1 or len(span.outputs) != 1:
            return False
        last, at = span.inputs[0], -1
        order = list(module._modules)
        for event in self._items(region):
            if isinstance(event, Op):
                return False
            owner, _, name = event.path.rpartition(".")
            taken, given = self._ends(event)
            plain = not isinstance(event, Call) or (len(event.args) == 1 and not event.kwargs)
            if owner != region.path or name not in order or order.index(name) <= at:
                return False
            if not plain or taken != [last] or len(given) != 1:
                return False
            last, at = given[0], order.index(name)
        return span.outputs == (last,)

    def _forward(self, region: Region) -> _Text:
        span = self.spans[id(region)]
        items = list(self._items(region))
        names = Names(span.inputs, span.outputs, [self._ends(item) for item in items])
        lines = []

        def name(of: Value | Stored) -> str:
            if isinstance(of, Value):
                return names.of(of)
            self._inside(region.path, of.name)
            return self.layout.access(region.path, of.name)

        for index, item in enumerate(items):
            right = self._right(region.path, item, name)
            left = names.assign(index, self._out(item))
            lines.append(f"{left} = {right}" if left else right)
        lines.append("return " + ", ".join(names.of(v) for v in span.outputs))
        return _Text(span.inputs, span.outputs, tuple(lines), names.parameters)

    def _right(self, owner: str, item: Event, name: Any) -> str:
        if isinstance(item, Op):
            return expression(item, name)
        self._inside(owner, item.path)
        of = self.layout.access(owner, item.path)
        if isinstance(item, Region):
            return f"{of}({', '.join(name(v) for v in self.spans[id(item)].inputs)})"
        return f"{of}({arguments(Op(item.path, _call, item.args, item.kwargs, item.out), name)})"

    def _out(self, item: Event) -> Any:
        if isinstance(item, Region):
            outputs = self.spans[id(item)].outputs
            return outputs[0] if len(outputs) == 1 else outputs or None
        return item.out


def _call(*args: Any, **kwargs: Any) -> None:
    """Stands for a module, whose call is written like a function's."""


def _sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential)


def _spans(record: Record) -> dict[int, _Span]:
    """What each region reads from before it and passes on to after it."""
    order = list(leaves(record.root))
    made = {value: i for i, event in enumerate(order) for value in values(event.out)}
    last: dict[Value, int] = {}
    for i, event in enumerate(order):
        for value in values((event.args, event.kwargs)):
            last[value] = i
    last[record.output] = len(order)
    spans: dict[int, _Span] = {}
    position = 0

    def visit(region: Region) -> None:
        nonlocal position
        start = position
        for event in region.body:
            if isinstance(event, Region):
                visit(event)
            else:
                position += 1
        inside = order[start:position]
        taken = dict.fromkeys(
            v
            for event in inside
            for v in values((event.args, event.kwargs))
            if made.get(v, -1) < start
        )
        given = dict.fromkeys(
            v for event in inside for v in values(event.out) if last.get(v, -1) >= position
        )
        spans[id(region)] = _Span(tuple(taken), tuple(given))

    visit(record.root)
    return spans

"""Running a network once and writing down what it does, module by module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.errors import ExportError
from pruneviz.export.plain.parts import constructor
from pruneviz.export.plain.record import Call, Op, Record, Region, Stored, Value
from pruneviz.outputs import logits
from pruneviz.replay.functional import METADATA
from pruneviz.torch_calls import CallWatcher, full_name

_ESCAPES = frozenset(
    ["item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__array__"]
)
"""Where numbers leave torch: what the code then decides by them cannot be recorded."""


def capture(network: nn.Module, images: Tensor) -> Record:
    """Record one forward pass in eval mode over images (N, C, H, W).

    Raises `ExportError` with the operation's name if numbers leave torch on the way.
    """
    model = copy.deepcopy(network).cpu().eval()
    recorder = _Recorder(model, images)
    with torch.no_grad(), recorder.watching(model), recorder:
        output = model(images)
    value = recorder.known.get(id(logits(output)))
    if not isinstance(value, Value):
        raise ExportError(
            f"{type(network).__name__} must return a tensor computed by torch functions; its "
            "output comes from code that cannot be traced."
        )
    return Record(recorder.root, value, recorder.shapes, recorder.constants)


class _Recorder(CallWatcher):
    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.root = Region("")
        self.stack = [self.root]
        self.quiet = 0
        self.count = 0
        self.kept: list[Tensor] = []
        self.known: dict[int, Value | Stored] = {}
        self.names: dict[int, list[str]] = {}
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.constants: dict[str, Tensor] = {}
        self.paths: dict[int, list[str]] = {}
        for path, module in model.named_modules(remove_duplicate=False):
            self.paths.setdefault(id(module), []).append(path)
        tensors: list[tuple[str, Tensor]] = [*model.named_parameters(remove_duplicate=False)]
        tensors += [*model.named_buffers(remove_duplicate=False)]
        for name, tensor in tensors:
            self.names.setdefault(id(tensor), []).append(name)
            self.kept.append(tensor)
        self.know(images)

    def know(self, tensor: Tensor) -> Value:
        """Make a new value for the tensor, replacing what was known about it."""
        value = Value(self.count)
        self.count += 1
        self.kept.append(tensor)  # so that its id stays its own
        self.known[id(tensor)] = value
        self.shapes[value.number] = tuple(tensor.shape)
        return value

    def refer(self, thing: Any) -> Any:
        """Replace tensors in arguments by what stands for them."""
        if isinstance(thing, Tensor):
            return self._of(thing)
        if isinstance(thing, torch.Size):
            return tuple(int(item) for item in thing)
        if isinstance(thing, (tuple, list)):
            return type(thing)([self.refer(item) for item in thing])
        if isinstance(thing, dict):
            return {key: self.refer(item) for key, item in thing.items()}
        if isinstance(thing, slice):
            return slice(*(self.refer(x) for x in (thing.start, thing.stop, thing.step)))
        return thing

    def _of(self, tensor: Tensor) -> Value | Stored:
        if id(tensor) in self.known:
            return self.known[id(tensor)]
        names = self.names.get(id(tensor))
        if names is None:
            names = [f"constant_{len(self.constants)}"]
            self.constants[names[0]] = tensor.detach().clone()
            self.names[id(tensor)] = names
            self.kept.append(tensor)
        return Stored(self._here(names))

    def _here(self, names: list[str]) -> str:
        """Among the names of a shared object, the one inside the module that is running."""
        here = self.stack[-1].path
        return next((n for n in names if not here or n.startswith(f"{here}.")), names[0])

    def path_of(self, module: nn.Module) -> str:
        """The module's path."""
        return self._here(self.paths[id(module)])

    def note(self, made: Any) -> Any:
        """The values for what a call returned; None for what is not a tensor."""
        if isinstance(made, Tensor):
            return self.know(made)
        if isinstance(made, (tuple, list)):
            return tuple(self.note(item) for item in made)
        return None

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call, and record it unless a leaf's own code makes it."""
        if self.quiet:
            return func(*args, **kwargs)
        full = full_name(func)
        parts = full.split(".")
        name = parts[-2] if parts[-1] in ("__get__", "__set__") else parts[-1]
        if name in METADATA:
            return func(*args, **kwargs)
        if name in _ESCAPES:
            self._refuse_escape(full, args)
            return func(*args, **kwargs)
        given, named = self.refer(args), self.refer(kwargs)
        made = func(*args, **kwargs)
        if isinstance(made, Tensor) and any(made is a for a in args) and not _mutates(name):
            made = made.view_as(made)  # dropout in eval mode returns what it was given
        out = self.note(made if name != "__setitem__" else None)
        self.stack[-1].body.append(Op(full, func, given, named, out))
        return made

    def _refuse_escape(self, full: str, args: tuple[Any, ...]) -> None:
        if any(isinstance(self.known.get(id(a)), Value) for a in args if isinstance(a, Tensor)):
            place = self.stack[-1].path or "the network itself"
            raise ExportError(
                f"Operation '{full}' in '{place}' passes values from torch to Python, and what "
                "the code does with them cannot be exported. Keep the computation in torch."
            )

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Hook every module: torch's own are one call each, others are looked into."""
        seen: set[int] = set()
        for path, module in model.named_modules():
            if path and id(module) not in seen:
                seen.add(id(module))
                hooked = module._forward_hooks or module._forward_pre_hooks
                text = None if hooked else constructor(module)
                before, after = self._leaf() if text else self._region()
                module.register_forward_pre_hook(before, with_kwargs=True)
                module.register_forward_hook(after, with_kwargs=True)
        yield

    def _leaf(self) -> tuple[Any, Any]:
        given: list[Any] = []

        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            if not self.quiet:
                given.append((self.refer(args), self.refer(kwargs)))
            self.quiet += 1

        def after(module: nn.Module, args: Any, kwargs: Any, made: Any) -> Any:
            self.quiet -= 1
            if self.quiet:
                return None
            if isinstance(module, nn.Identity):
                given.pop()
                return None
            changes = getattr(module, "inplace", False) and not isinstance(
                module, nn.modules.dropout._DropoutNd
            )
            if isinstance(made, Tensor) and not changes and any(made is a for a in args):
                self.quiet += 1
                made = made.view_as(made)
                self.quiet -= 1
            own, named = given.pop()
            self.stack[-1].body.append(Call(self.path_of(module), own, named, self.note(made)))
            return made

        return before, after

    def _region(self) -> tuple[Any, Any]:
        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            region = Region(self.path_of(module))
            self.stack[-1].body.append(region)
            self.stack.append(region)

        def after(module: nn.Module, args: Any, kwargs: Any, made: Any) -> None:
            self.stack.pop()

        return before, after


def _mutates(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")

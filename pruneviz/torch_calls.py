"""Watching the torch calls of a forward pass, wherever in Python they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

SWITCH: Any = torch._C._set_grad_enabled
"""What `no_grad` calls when it begins and when it ends."""


class CallWatcher(TorchFunctionMode):
    """Sees every torch function that is called while it is open; subclasses override `call`.

    Functions, operators, methods and properties of tensors count, in modules, functional code and
    hooks alike; what a function itself calls inside does not, nor does switching gradients on or
    off: Python's garbage collector may do that in the middle of a pass, where it closes a generator
    that somebody left. `index` is the number of the call, from 0 each time the watcher is opened. A
    network that takes the same way each time makes the same calls each time, pruned or not:
    `Layer.maps_at` and `Layer.called_at` are such numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index = -1
        self._paused = False

    def __enter__(self) -> Self:
        self.index = -1
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if self._paused or func is SWITCH:
            return func(*args, **(kwargs or {}))
        self.index += 1
        return self.call(func, args, kwargs or {})

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call; what this returns is what the network gets."""
        return func(*args, **kwargs)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Neither see nor count the calls made meanwhile."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before


def tensors_in(value: object) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


@lru_cache(maxsize=4096)
def full_name(function: Callable[..., Any]) -> str:
    """The name of a torch function: 'torch.Tensor.add_', 'torch.nn.functional.relu'."""
    try:
        name: str | None = resolve_name(function)
    except TypeError:
        name = None
    if name:
        return name
    module = getattr(function, "__module__", None) or "torch"
    return f"{module}.{getattr(function, '__name__', repr(function))}"

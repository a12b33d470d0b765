"""Watching every torch call of a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from . import elementwise, layers, norms, positions, rearrange  # noqa: F401 - they register handlers
from .flow import Flow, Size
from .operations import HANDLERS, Call, unknown


@lru_cache(maxsize=4096)
def _split(function: Callable[..., Any]) -> tuple[str, str]:
    """('torch.Tensor.add_', 'add'): the full name, and what the operation is called."""
    try:
        full = resolve_name(function)
    except TypeError:
        full = None
    if not full:
        module = getattr(function, "__module__", None) or "torch"
        full = f"{module}.{getattr(function, '__name__', repr(function))}"
    parts = full.split(".")
    last = parts[-2] if parts[-1] in ("__get__", "__set__") and len(parts) > 1 else parts[-1]
    return full.removesuffix(".__get__"), last.strip("_")


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


class Watch(TorchFunctionMode):
    """Carries channel identities along with the values while the network runs."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        full, name = _split(func)
        flow = self.flow
        flow.call_index += 1
        if name in ("shape", "size"):
            return _sizes(func(*args, **kwargs))
        inputs = list(tensors_in((args, kwargs)))
        maps = [flow.map_of(t) for t in inputs]
        out = func(*args, **kwargs)
        if name == "setitem" or any(True for _ in tensors_in(out)):
            shadows = [flow.shadow(t) for t in inputs]
            call = Call(full, name, args, kwargs, out, inputs, maps, shadows)
            if inputs:
                HANDLERS.get(name, unknown)(flow, call)
        return out


def _sizes(value: Any) -> Any:
    if isinstance(value, torch.Size):
        return torch.Size([Size(v) for v in value])
    return Size(value) if isinstance(value, int) else value

"""Watching every torch call of a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from pruneviz.channels import IntArray
from pruneviz.trace import elementwise, layers, norms, positions, rearrange  # noqa: F401 - they register handlers
from pruneviz.trace.flow import NOBODY, Flow, Size, core
from pruneviz.trace.operations import HANDLERS, Call, unknown


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


ESCAPES = frozenset(["numpy", "tolist", "array"])


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
        inputs = list(tensors_in((args, kwargs)))
        if name in ("shape", "size"):
            return _sizes(flow, inputs[0], func(*args, **kwargs), *args[1:])
        flow.foreigners |= any(flow.foreign(t) for t in inputs)
        maps = [flow.map_of(t) for t in inputs]
        out = func(*args, **kwargs)
        if name in ESCAPES:
            flow.fix_all(inputs, f"leaves torch by {full}")
        made = list(tensors_in(out))
        for tensor in made:
            flow.know(tensor)
        if inputs and (made or name == "setitem"):
            for of in maps:
                flow.read_map(of)
            shadows = [flow.shadow(t) for t in inputs]
            call = Call(full, name, args, kwargs, out, inputs, maps, shadows)
            HANDLERS.get(name, unknown)(flow, call)
        return out


def _sizes(flow: Flow, tensor: Tensor, value: Any, dim: Any = None) -> Any:
    """Sizes that remember the channels they count."""
    shadow = flow.shadow(tensor)
    if shadow is None:
        return value
    channels = [_along(shadow, d) for d in range(shadow.ndim)]
    if isinstance(value, torch.Size):
        return torch.Size([Size.of(v, c) for v, c in zip(value, channels, strict=True)])
    return Size.of(value, channels[int(dim)])


def _along(shadow: Tensor, dim: int) -> IntArray:
    short = core(shadow)
    return short.numpy().ravel() if short.shape[dim] > 1 else NOBODY


class Blame(Watch):
    """Watches once more, with gradients, to see which channels enter code that cannot be watched.

    A scripted function's result has a gradient function whose predecessors are known.
    """

    REASON = "passes through code that PruneViz cannot watch (a scripted function, a vmap)"

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow)
        self.made_by: dict[Any, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for tensor in tensors_in((args, kwargs or {})):
            if self.flow.foreign(tensor) and tensor.grad_fn is not None:
                self._blame(tensor)
        out = super().__torch_function__(func, types, args, kwargs)
        for tensor in tensors_in(out):
            if tensor.grad_fn is not None:
                self.made_by[tensor.grad_fn] = tensor
        return out

    def _blame(self, tensor: Tensor) -> None:
        self.flow.know(tensor)
        queue, seen = [tensor.grad_fn], set()
        while queue:
            node = queue.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node in self.made_by:
                self.flow.fix_all([self.made_by[node]], self.REASON)
            else:
                queue += [following for following, _ in node.next_functions]

"""Following channels through every torch call of a forward pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from pruneviz.channels import IntArray
from pruneviz.hooks import in_this_thread
from pruneviz.torch_calls import CallWatcher, full_name, tensors_in
from pruneviz.trace import (  # they register handlers
    computed,
    computed_rules,  # noqa: F401
    elementwise,  # noqa: F401
    layers,
    norms,  # noqa: F401
    pieces,  # noqa: F401
    positions,  # noqa: F401
    rearrange,  # noqa: F401
    written,
)
from pruneviz.trace.attributes import kept_in
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import HANDLERS, Call, leave, unknown
from pruneviz.trace.shadows import core
from pruneviz.trace.sizes import NOBODY, Size


@lru_cache(maxsize=4096)
def _names(function: Callable[..., Any]) -> tuple[str, str]:
    """('torch.Tensor.add_', 'add'): the full name, and the operation's in the tables."""
    full = full_name(function)
    parts = full.split(".")
    last = parts[-2] if parts[-1] in ("__get__", "__set__") and len(parts) > 1 else parts[-1]
    return full.removesuffix(".__get__"), last.strip("_")


LAYERS = frozenset(name for name, handler in HANDLERS.items() if handler is layers.layer)

ESCAPES = frozenset(["numpy", "tolist", "array"])


class Watch(CallWatcher):
    """Passes channel identities on with the values while the network runs."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        running, paths = self.flow.running, self.flow.paths

        def enter(module: nn.Module, _: Any) -> None:
            if module in paths:  # the hooks see every module of the process
                running.append(module)

        def leave(module: nn.Module, *_: Any) -> None:
            if running and running[-1] is module:
                running.pop()

        self._hooks = [
            register_module_forward_pre_hook(in_this_thread(enter)),
            register_module_forward_hook(in_this_thread(leave), always_call=True),
        ]
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        self.flow.running.clear()
        super().__exit__(*error)

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call, and carry the identities of its arguments' channels to its results."""
        full, name = _names(func)
        flow = self.flow
        flow.call_index += 1  # unlike `index`, it goes on in a second pass
        inputs = list(tensors_in((args, kwargs)))
        live = any(flow.is_live(t) for t in inputs)
        if name in ("numel", "nelement"):
            computed.sizes_depend(flow, inputs[0])
        if name in ("shape", "size"):
            return _sizes(flow, inputs[0], func(*args, **kwargs), *args[1:])
        flow.foreigners |= any(flow.foreign(t) for t in inputs)
        maps = [flow.map_of(t) for t in inputs]
        out = func(*args, **kwargs)
        if name in ESCAPES:
            flow.fix_all(inputs, f"leaves torch through {full}")
        made = list(tensors_in(out))
        for tensor in made:
            flow.know(tensor)
        flow.counted_now.clear()
        if inputs and (made or name == "setitem"):
            for of in maps:
                flow.read_map(of)
            shadows = [flow.shadow(t) for t in inputs]
            call = Call(full, name, args, kwargs, out, inputs, maps, shadows)
            if live:
                flow.enliven(call.outputs or inputs[:1])
            if name not in LAYERS:
                flow.wires.passes(name, inputs, made or inputs[:1])
            if made and not live and name not in LAYERS and computed.concerns(flow, inputs):
                computed.follow(flow, call)
            else:
                self._follow(call)
        elif not inputs and name in written.MAKERS and isinstance(out, Tensor):
            written.made(flow, out, args, kwargs)
        numbers = {number.place for number in kept_in((args, kwargs))}
        flow.computed_with |= numbers - flow.counted_now
        return out

    def _follow(self, call: Call) -> None:
        try:
            HANDLERS.get(call.name, unknown)(self.flow, call)
        except RuntimeError:
            if all(t.numel() for t in call.outputs):
                raise
            leave(self.flow, call, f"is still empty when {call.full} is called")


def _sizes(flow: Flow, tensor: Tensor, value: Any, dim: Any = None) -> Any:
    """Sizes that remember the channels they count."""
    channels = [NOBODY] * tensor.ndim
    for shadow in _shadows(flow, tensor):
        channels = [
            along if along.size else known
            for known, along in zip(
                channels, map(partial(_along, shadow), range(tensor.ndim)), strict=True
            )
        ]
    if isinstance(value, torch.Size):
        return torch.Size([Size.of(v, c) for v, c in zip(value, channels, strict=True)])
    return Size.of(value, channels[int(dim)])


def _shadows(flow: Flow, tensor: Tensor) -> list[Tensor]:
    shadow = flow.shadow(tensor)
    if shadow is not None:
        return [shadow]
    known = None if flow.is_live(tensor) else computed.computed(flow, tensor)
    return [] if known is None else [aspect.shadow for aspect in known.aspects]


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

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As `Watch`; tensors from code that cannot be watched are traced back first."""
        for tensor in tensors_in((args, kwargs)):
            if self.flow.foreign(tensor) and tensor.grad_fn is not None:
                self._blame(tensor)
        out = super().call(func, args, kwargs)
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

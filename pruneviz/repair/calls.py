"""Watching a network layer by layer: the inputs and outputs of convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.modes import eval_mode
from pruneviz.torch_calls import CallWatcher

KINDS = {"conv1d": 1, "conv2d": 2, "conv3d": 3, "linear": 0}
"""Operations whose weights can be refitted, and their spatial dimensions."""


Place = tuple[str, int]
"""A torch call of a pass: the layer that was called last, and how many calls ago that was.

The same in every pass of a network, pruned or not. A call that is not the network's own (a hook of
somebody's, a finalizer that runs in between) moves the places up to the next layer alone.
"""


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer in a forward pass, before or after it was made."""

    layer: Layer
    place: Place
    number: int
    """Which of the layer's calls in this pass, from 0."""
    x: Tensor
    """What it reads: (N, C, *positions), or (N, ..., C) for a linear layer."""
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int


Run = Callable[[], Tensor]
"""Makes the call with the weights as they are then."""
Visit = Callable[[LayerCall, Run], Tensor]
"""Called in place of a layer's call; returns the layer's output."""


@dataclass(frozen=True)
class OtherCall:
    """A torch call that is no layer's."""

    place: Place
    name: str
    given: tuple[Any, ...]
    result: Any


Notice = Callable[[OtherCall], None]
"""Called after every torch call that is no layer's."""


class _Watch(CallWatcher):
    """Calls `visit` for the layers of a network and `notice` for everything else."""

    def __init__(self, layers: Mapping[int, Layer], visit: Visit, notice: Notice | None) -> None:
        super().__init__()
        self._layers, self._visit, self._notice = layers, visit, notice
        self._numbers: dict[str, int] = {}
        self._last = ("", -1)  # the layer called last, and the number of that call

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = getattr(func, "__name__", "")
        if name in KINDS:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            layer = self._layers.get(id(weight))
            if layer is not None:
                number = self._numbers.get(layer.name, -1) + 1
                self._numbers[layer.name] = number
                if number == 0:
                    self._last = (layer.name, self.index)
                call = _call(layer, self._place, number, name, args, kwargs)
                return self._visit(call, lambda: func(*args, **kwargs))
        out = func(*args, **kwargs)
        if self._notice is not None:
            self._notice(OtherCall(self._place, name, (*args, *kwargs.values()), out))
        return out

    @property
    def _place(self) -> Place:
        layer, at = self._last
        return layer, self.index - at


def _call(
    layer: Layer,
    place: Place,
    number: int,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> LayerCall:
    def given(place: int, key: str, default: Any) -> Any:
        return args[place] if len(args) > place else kwargs.get(key, default)

    dims = KINDS[name]

    def each(value: Any) -> tuple[int, ...]:
        values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        return tuple(int(v) for v in (values * dims if len(values) == 1 else values))

    padding = given(4, "padding", 0)
    return LayerCall(
        layer=layer,
        place=place,
        number=number,
        x=given(0, "input", None),
        weight=given(1, "weight", None),
        bias=given(2, "bias", None),
        stride=each(given(3, "stride", 1)),
        padding=padding if isinstance(padding, str) else each(padding),
        dilation=each(given(5, "dilation", 1)),
        groups=int(given(6, "groups", 1)),
    )


@contextmanager
def watching(
    model: nn.Module, graph: ChannelGraph, visit: Visit, notice: Notice | None = None
) -> Iterator[None]:
    """While this lasts, `visit` is called in place of every call of a layer of `model`.

    Layers are recognised by their weights, so that functional calls are seen too. The model runs in
    eval mode and without gradients; on exit it is back in the modes that it was in.
    """
    stored = dict(model.named_parameters(remove_duplicate=False))
    layers = {id(stored[x.weight]): x for x in graph.layers if x.weight in stored}
    with eval_mode(model), torch.no_grad(), _Watch(layers, visit, notice):
        yield

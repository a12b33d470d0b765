"""Reaching every layer's feature map while a network runs.

`ChannelGraph` says which torch call of a forward pass gives each feature map; `Taps` passes the
results of these calls on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.errors import InvalidValueError
from pruneviz.hooks import in_this_thread
from pruneviz.torch_calls import CallWatcher, tensors_in

Receive = Callable[[int, Tensor], None]
"""Called with the index of a tap and its feature map, as soon as that is computed."""


@dataclass(frozen=True)
class Tap:
    """One feature map of a layer: where it is taken, and how it lies in memory."""

    layer: Layer
    call: int | None
    """Index of the intercepted call; None where the output of the layer's module is taken."""
    dim: int
    """The dimension of the channels, counted from the end."""
    folded: int
    """Rows of the first dimension that belong to one image (1: it counts images)."""
    overwritten: bool
    """Whether the network changes the map in place later on."""
    inner: bool = False
    """Whether all of the map goes into a depthwise convolution of the same units, and so shows
    in that convolution's map."""

    def by_image(self, map: Tensor) -> Tensor:
        """(N, C, positions): the map with channels second and one dimension of positions."""
        if self.folded > 1:
            map = map.reshape(-1, self.folded, *map.shape[1:])
        if self.dim == -1:
            map = map.movedim(-1, 1)
        elif self.folded > 1:
            map = map.transpose(1, 2)
        return map.flatten(2) if map.ndim > 2 else map.unsqueeze(-1)


class Taps(CallWatcher):
    """Passes on the results of some torch calls, given by their numbers."""

    def __init__(self, wanted: dict[int, list[int]], receive: Receive) -> None:
        super().__init__()
        self.wanted, self.receive = wanted, receive

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call, and hand its result over where it is wanted."""
        out = self.run(func, args, kwargs)
        for index in self.wanted.get(self.index, ()):
            if isinstance(out, Tensor):
                self.receive(index, out)
        return out

    def run(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call."""
        return func(*args, **kwargs)

    def hook(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        """A forward hook that passes a module's output on without being counted itself."""

        def receive(_module: nn.Module, _inputs: Any, output: Any) -> None:
            with self.paused():
                if isinstance(output, Tensor):
                    self.receive(index, output)

        return in_this_thread(receive)


class Probe(Taps):
    """Keeps the feature maps of one pass, and notes what reads them and what overwrites them."""

    def __init__(self, wanted: dict[int, list[int]], layers: dict[int, Layer]) -> None:
        super().__init__(wanted, self._keep)
        self.layers = layers
        """Identity of a weight -> its layer."""
        self.maps: dict[int, tuple[Tensor, int]] = {}
        """Tap -> its feature map, and the map's version when it was taken."""
        self.readers: dict[int, list[Layer | None]] = {}
        """Identity of a map -> the layers that read it; None for any other operation."""

    def _keep(self, index: int, map: Tensor) -> None:
        self.maps[index] = (map, map._version)
        self.readers.setdefault(id(map), [])

    def run(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call and note which maps it reads."""
        out = func(*args, **kwargs)
        if isinstance(out, (Tensor, tuple, list)):
            given = list(tensors_in((args, kwargs)))
            layer = next((self.layers[id(t)] for t in given if id(t) in self.layers), None)
            for tensor in given:
                if id(tensor) in self.readers:
                    self.readers[id(tensor)].append(layer)
        return out


def tapped(model: nn.Module, taps: list[Tap], receive: Receive) -> AbstractContextManager[Taps]:
    """While this lasts, `receive` gets every tap's feature map of a forward pass of `model`."""
    return _active(model, taps, Taps(_calls(taps), receive))


def _calls(taps: list[Tap]) -> dict[int, list[int]]:
    wanted: dict[int, list[int]] = {}
    for index, tap in enumerate(taps):
        if tap.call is not None:
            wanted.setdefault(tap.call, []).append(index)
    return wanted


@contextmanager
def _active(model: nn.Module, taps: list[Tap], mode: Taps) -> Iterator[Taps]:
    handles = [
        model.get_submodule(tap.layer.name).register_forward_hook(mode.hook(index))
        for index, tap in enumerate(taps)
        if tap.call is None
    ]
    try:
        with mode:
            yield mode
    finally:
        for handle in handles:
            handle.remove()


def find_taps(model: nn.Module, graph: ChannelGraph, images: Tensor) -> list[Tap]:
    """Run `images` (N, C, H, W) once and settle where each feature map is taken.

    Layers that do not run in eval mode (auxiliary heads) have none. Where a call does not give what
    the graph says (a network that runs otherwise than when it was traced), the layer's module is
    tapped instead.

    Raises:
        InvalidValueError: A layer's feature map cannot be reached in either way.
    """
    layers = [layer for layer in graph.layers if layer.maps_at]
    first = [Tap(n, call, _dim(n), 1, False) for n in layers for call in n.maps_at]
    settled = _settled(model, graph, first, images)
    astray = {a.layer.name: a.layer for a, b in zip(first, settled, strict=True) if b is None}
    good = [tap for tap in settled if tap is not None and tap.layer.name not in astray]
    if not astray:
        return good
    modules = dict(model.named_modules())
    second = [Tap(n, None, _dim(n), 1, False) for n in astray.values() if n.name in modules]
    for tap in _settled(model, graph, second, images):
        if tap is not None:
            good.append(tap)
            astray.pop(tap.layer.name)
    for name in astray:
        raise InvalidValueError(
            f"The feature map of layer '{name}' is not where it was when the network was traced. "
            "Trace the network again; it must run the same way each time."
        )
    return good


def _dim(layer: Layer) -> int:
    return -1 if layer.kind == "linear" else -1 - len(layer.kernel)


def _settled(
    model: nn.Module, graph: ChannelGraph, taps: list[Tap], images: Tensor
) -> list[Tap | None]:
    """Each tap as it turns out to be in one pass; None if it does not give its layer's map."""
    named = dict(model.named_parameters(remove_duplicate=False))
    probe = Probe(_calls(taps), {id(named[n.weight]): n for n in graph.layers if n.weight in named})
    with torch.no_grad(), _active(model, taps, probe):
        model(images)
    return [_settle(tap, probe, probe.maps.get(i), len(images)) for i, tap in enumerate(taps)]


def _settle(tap: Tap, probe: Probe, seen: tuple[Tensor, int] | None, images: int) -> Tap | None:
    if seen is None:
        return None
    map, version = seen
    fits = map.ndim >= -tap.dim and map.shape[tap.dim] == tap.layer.out_channels
    if not fits or map.ndim < 2 or map.shape[0] % images:
        return None
    readers = probe.readers[id(map)]
    return replace(
        tap,
        folded=map.shape[0] // images,
        overwritten=map._version != version,
        inner=bool(readers) and all(_carries_on(tap.layer, reader) for reader in readers),
    )


def _carries_on(layer: Layer, reader: Layer | None) -> bool:
    """Whether the reader is a depthwise convolution, each filter in the unit of what it reads."""
    if reader is None or reader.conv_groups != layer.out_channels:
        return False
    each = reader.out_channels // layer.out_channels
    return np.array_equal(np.repeat(layer.units, each), reader.units)

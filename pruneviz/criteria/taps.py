"""Reaching every layer's feature map while a network runs.

`ChannelGraph` says which intercepted torch call of a forward pass gives each feature map. A `Taps`
counts the calls in the same way and hands the results over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruneviz.channels import ChannelGraph, Layer
from pruneviz.errors import InvalidValueError

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

    def by_image(self, map: Tensor) -> Tensor:
        """(N, C, positions): the map with channels second and one dimension of positions."""
        if self.folded > 1:
            map = map.reshape(-1, self.folded, *map.shape[1:])
        if self.dim == -1:
            map = map.movedim(-1, 1)
        elif self.folded > 1:
            map = map.transpose(1, 2)
        return map.flatten(2) if map.ndim > 2 else map.unsqueeze(-1)


class Taps(TorchFunctionMode):
    """Counts torch calls as `pruneviz.trace` does, and hands over the results of some of them."""

    def __init__(self, wanted: dict[int, list[int]], receive: Receive) -> None:
        super().__init__()
        self.wanted, self.receive = wanted, receive
        self.calls = -1
        self.busy = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.busy:
            return out
        self.calls += 1
        for index in self.wanted.get(self.calls, ()):
            if isinstance(out, Tensor):
                self.receive(index, out)
        return out

    def hook(self, index: int) -> Callable[[nn.Module, Any, Any], None]:
        """A forward hook that hands over a module's output without being counted itself."""

        def receive(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.busy = True
            try:
                if isinstance(output, Tensor):
                    self.receive(index, output)
            finally:
                self.busy = False

        return receive


@contextmanager
def tapped(model: nn.Module, taps: list[Tap], receive: Receive) -> Iterator[Taps]:
    """While this lasts, `receive` gets every tap's feature map of a forward pass of `model`."""
    wanted: dict[int, list[int]] = {}
    for index, tap in enumerate(taps):
        if tap.call is not None:
            wanted.setdefault(tap.call, []).append(index)
    mode = Taps(wanted, receive)
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
    maps = _seen(model, first, images)
    good: list[Tap] = []
    astray: dict[str, Layer] = {}
    for index, tap in enumerate(first):
        settled = _settle(tap, maps.get(index), len(images))
        if settled is None:
            astray[tap.layer.name] = tap.layer
        else:
            good.append(settled)
    if not astray:
        return good
    good = [tap for tap in good if tap.layer.name not in astray]
    modules = dict(model.named_modules())
    second = [Tap(n, None, _dim(n), 1, False) for n in astray.values() if n.name in modules]
    maps = _seen(model, second, images)
    for index, tap in enumerate(second):
        settled = _settle(tap, maps.get(index), len(images))
        if settled is not None:
            good.append(settled)
            astray.pop(tap.layer.name)
    for name in astray:
        raise InvalidValueError(
            f"The feature map of layer '{name}' was not found where it was when the network was "
            "traced. Trace the network again; it must run in the same way each time."
        )
    return good


def _dim(layer: Layer) -> int:
    return -1 if layer.kind == "linear" else -1 - len(layer.kernel)


def _seen(model: nn.Module, taps: list[Tap], images: Tensor) -> dict[int, tuple[Tensor, int]]:
    """Tap -> its feature map and the map's version when it was taken."""
    found: dict[int, tuple[Tensor, int]] = {}

    def receive(index: int, map: Tensor) -> None:
        found[index] = (map, map._version)

    with torch.no_grad(), tapped(model, taps, receive):
        model(images)
    return found


def _settle(tap: Tap, seen: tuple[Tensor, int] | None, images: int) -> Tap | None:
    """The tap as it turned out to be; None if this is not the layer's feature map."""
    if seen is None:
        return None
    map, version = seen
    fits = map.ndim > -tap.dim and map.shape[tap.dim] == tap.layer.out_channels
    if not fits or map.shape[0] % images:
        return None
    return Tap(tap.layer, tap.call, tap.dim, map.shape[0] // images, map._version != version)

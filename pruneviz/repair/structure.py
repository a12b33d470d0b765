"""What follows each layer: a batch norm that can hold a constant, a residual sum, a ReLU.

All are found by watching one pass over a few images, whatever the network's code looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneviz.channels import ChannelGraph
from pruneviz.repair.calls import LayerCall, OtherCall, Place, Run, watching
from pruneviz.torch_calls import tensors_in

Shift = Callable[[Tensor], None]
"""Adds a constant (C_out,) to what a layer gives, as its only reader sees it."""

ADDITIONS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
RECTIFIERS = {"relu": math.inf, "relu_": math.inf, "relu6": 6.0, "hardtanh": 1.0, "hardtanh_": 1.0}
"""Calls that may give 0 for what is negative, and the most that they give if not told otherwise."""
SMALLEST_GAIN = 1e-2
"""A norm that multiplies by less hands nothing back to the layer before it."""


@dataclass(frozen=True)
class Structure:
    """What follows the layers of a network.

    `norms` maps a layer to the batch norm (a module's name) that alone reads its outputs; `others`
    maps a layer to the place of the torch call whose result is added to its (normalised) outputs,
    where that call comes before the layer's own; `rectified` maps a layer to the most that a ReLU
    gives which alone reads its outputs, behind that norm and that sum.
    """

    norms: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Place] = field(default_factory=dict)
    rectified: Mapping[str, float] = field(default_factory=dict)

    def constant(self, call: LayerCall, model: nn.Module) -> Shift | None:
        """How to add a constant to the layer's outputs; None where nothing can hold one."""
        if call.bias is not None:
            bias = call.bias.data
            return lambda shift: _add(bias, shift)
        if call.layer.name in self.norms:
            mean = model.get_buffer(f"{self.norms[call.layer.name]}.running_mean")
            return lambda shift: _add(mean, -shift)
        return None

    def interval(
        self, layer: str, model: nn.Module, wanted: Tensor, other: Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """The least and the most (N, P, C_out) that are as good as the outputs `wanted`.

        A ReLU behind the layer makes the same of all between them; `other` is what is added before
        it. None where no ReLU is known.
        """
        if layer not in self.rectified or (layer in self.others and other is None):
            return None
        gain, offset = self._affine(layer, model, wanted)
        if other is not None:
            offset = offset + other
        loud = gain.abs() > SMALLEST_GAIN * gain.abs().max()
        size = torch.where(loud, gain.abs(), 1)
        sign = torch.where(gain < 0, -1, 1)
        most = self.rectified[layer]
        floor, ceiling = -offset / size, (most - offset) / size  # of the outputs times the sign
        value = wanted * sign
        low = torch.where(loud & (value <= floor), -math.inf, value)
        high = torch.where(loud & (value <= floor), floor, value)
        if most < math.inf:
            low = torch.where(loud & (value >= ceiling), ceiling, low)
            high = torch.where(loud & (value >= ceiling), math.inf, high)
        return torch.where(sign < 0, -high, low), torch.where(sign < 0, -low, high)

    def _affine(self, layer: str, model: nn.Module, like: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset (C_out,) of the norm behind a layer; 1 and 0 where there is none."""
        if layer not in self.norms:
            return like.new_ones(like.shape[-1]), like.new_zeros(like.shape[-1])
        norm: Any = model.get_submodule(self.norms[layer])
        gain = (norm.running_var + norm.eps).rsqrt()
        if norm.weight is not None:
            gain = gain * norm.weight
        offset = -gain * norm.running_mean
        if norm.bias is not None:
            offset = offset + norm.bias
        return gain.detach(), offset.detach()

    def per_sum(self, layer: str, model: nn.Module) -> Tensor | None:
        """(C_out,) by how much the layer's outputs change when the sum behind it does by 1.

        0 for channels that the norm in between all but silences; None for 1 everywhere.
        """
        if layer not in self.norms:
            return None
        norm: Any = model.get_submodule(self.norms[layer])
        gain, _ = self._affine(layer, model, norm.running_var)
        loud = gain.abs() > SMALLEST_GAIN * gain.abs().max()
        return torch.where(loud, 1 / torch.where(loud, gain, 1), 0)


def _add(tensor: Tensor, shift: Tensor) -> None:
    tensor.add_(shift.to(tensor.dtype))


@dataclass
class _Made:
    """A tensor of the pass: which call made it, and whose outputs it holds."""

    tensor: Tensor
    place: Place
    order: int
    """How many calls of the pass were made before."""
    layer: str | None = None
    norm: str | None = None
    summed: str | None = None
    """The layer whose outputs are the later operand of this sum."""


def structure(model: nn.Module, graph: ChannelGraph, images: Tensor) -> Structure:
    """Run a few `images` (N, C, H, W), normalised, and see what is behind each layer."""
    norms = {
        id(module.running_mean): name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
    made: dict[int, _Made] = {}
    starts: dict[str, int] = {}
    readers: dict[int, int] = {}
    behind: dict[str, str] = {}
    sums: dict[str, Place] = {}
    rectified: dict[str, tuple[float, Tensor | None]] = {}
    shared: set[str] = set()
    orders = count()

    def read(values: tuple[object, ...]) -> list[_Made]:
        sources = [made[id(t)] for t in tensors_in(values) if id(t) in made]
        for source in sources:
            readers[id(source.tensor)] = readers.get(id(source.tensor), 0) + 1
        return sources

    def visit(call: LayerCall, run: Run) -> Tensor:
        read((call.x,))
        result = run()
        order = next(orders)
        starts[call.layer.name] = order if call.number == 0 else -1
        made[id(result)] = _Made(result, call.place, order, call.layer.name)
        return result

    def notice(call: OtherCall) -> None:
        results = list(tensors_in((call.result,)))
        if not results:
            return  # a size or a type was asked for: nothing is read
        sources = read(call.given)
        new = _Made(results[0], call.place, next(orders))
        if call.name == "batch_norm" and sources and sources[0].layer and not sources[0].norm:
            norm = next((norms[id(t)] for t in tensors_in(call.given) if id(t) in norms), None)
            if norm is not None:
                new.layer, new.norm = sources[0].layer, norm
                behind[new.layer] = norm
        elif call.name in ADDITIONS and len(sources) == 2:
            new.summed = _note_sum(sources, starts, sums)
        elif call.name in RECTIFIERS and len(sources) == 1 and (most := _most(call)):
            (source,) = sources
            in_place = results[0] is source.tensor
            if layer := source.layer or source.summed:
                rectified[layer] = most, None if in_place else source.tensor
        for source in sources:
            if not any(result is source.tensor for result in results):
                continue
            layer = source.layer or source.summed
            if readers.pop(id(source.tensor), 0) > 1 and layer:  # read before it was changed
                shared.add(layer)
        for result in results:
            made[id(result)] = replace(new, tensor=result)

    with watching(model, graph, visit, notice):
        model(images)
    alone = {m.layer for m in made.values() if m.layer and _alone(m, made, readers)}
    used = list(behind.values())
    fits = {x: n for x, n in behind.items() if x in alone and used.count(n) == 1}
    summed = {x: i for x, i in sums.items() if x in alone and behind.get(x) == fits.get(x)}
    last = {
        x: most
        for x, (most, read) in rectified.items()
        if x in alone - shared
        and behind.get(x) == fits.get(x)
        and (x in summed) == (x in sums)
        and (read is None or readers[id(read)] == 1)
    }
    return Structure(fits, summed, last)


def _note_sum(
    sources: list[_Made], starts: Mapping[str, int], sums: dict[str, Place]
) -> str | None:
    """The operand whose layer runs last can make up for what the other one lacks: that layer."""
    one, other = sources
    if one.tensor.shape != other.tensor.shape:
        return None
    for mine, its in ((one, other), (other, one)):
        if mine.layer and its.order < starts.get(mine.layer, -1):
            sums[mine.layer] = its.place
            return mine.layer
    return None


def _most(call: OtherCall) -> float | None:
    """The most that a rectifier gives; None where it gives something negative."""
    numbers = [float(v) for v in call.given if type(v) in (int, float)]
    if call.name.startswith("hardtanh") and numbers:
        least, most, *_ = (*numbers, 1.0)
        return most if least == 0 else None
    return None if call.name.startswith("hardtanh") else RECTIFIERS[call.name]


def _alone(one: _Made, made: Mapping[int, _Made], readers: Mapping[int, int]) -> bool:
    """Whether every tensor that holds the layer's outputs is read once."""
    own = [m for m in made.values() if m.layer == one.layer]
    return all(readers.get(id(m.tensor), 0) == 1 for m in own)

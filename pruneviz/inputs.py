"""A network's inputs: one image, several tensors, tensors by name, or a dict of them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, Input
from pruneviz.errors import TraceError, shown

Example = Sequence[Any] | Mapping[str, Any] | Tensor
"""A shape without its batch, a batch of tensors, or several of these in a sequence or by name."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

MOST = 2**27
"""Values in an example at most: half a gigabyte."""

_RULE = "An image's shape is (channels, height, width)"


def given(model: nn.Module, example: Example) -> tuple[Arguments, tuple[Input, ...], str]:
    """The arguments of `model` for one example, and their description for a graph.

    Returns:
        The positional and named arguments; an `Input` for each tensor; and how they are passed:
        by "positions", by "keywords", or all in one "dict".

    Raises:
        TraceError: The example is no shape, no tensor, and no collection of them.
    """
    at = next(p for p in model.parameters())
    if isinstance(example, Mapping):
        if not example:
            raise TraceError("A network needs an input, but got an empty mapping.")
        named = {str(key): _tensor(value, at, model) for key, value in example.items()}
        named = dict(zip(named, _first(list(named.values())), strict=True))
        inputs = tuple(_input(value, key) for key, value in named.items())
        if _takes(model, named):
            return ((), named), inputs, "keywords"
        return ((named,), {}), inputs, "dict"
    several = not isinstance(example, Tensor) and any(
        isinstance(part, (Tensor, list, tuple)) for part in _parts(example)
    )
    if several:
        tensors = _first([_tensor(part, at, model) for part in example])
        return (tuple(tensors), {}), tuple(_input(t) for t in tensors), "positions"
    image = _tensor(example, at, model)[:1]
    return ((image,), {}), (_input(image),), "positions"


def noise(graph: ChannelGraph, model: nn.Module, batch_size: int = 1) -> Arguments:
    """Inputs of zeros, of the sizes that a graph was traced with, on the model's device."""
    at = next(model.parameters())
    inputs = graph.inputs or (Input((1, *graph.input_shape)),)
    made = []
    for one in inputs:
        dtype = at.dtype if one.dtype == "float" else getattr(torch, one.dtype)
        made.append(
            torch.zeros(batch_size * one.shape[0], *one.shape[1:], device=at.device, dtype=dtype)
        )
    if graph.handed_over == "positions":
        return tuple(made), {}
    named = {one.name: tensor for one, tensor in zip(inputs, made, strict=True)}
    return ((), named) if graph.handed_over == "keywords" else ((named,), {})


def _parts(example: Any) -> list[Any]:
    try:
        return list(example)
    except TypeError:
        raise TraceError(f"{_RULE}, but got {shown(example)}.") from None


def _tensor(value: Any, at: Tensor, model: nn.Module) -> Tensor:
    """A tensor with a batch dimension, as the model wants it."""
    if isinstance(value, Tensor):
        if value.ndim == 0:
            raise TraceError(f"{_RULE}, or a tensor with axes, but got {shown(value)}.")
        dtype = at.dtype if value.is_floating_point() else value.dtype
        tensor = value.to(device=at.device, dtype=dtype)
        return tensor[None] if tensor.ndim == _dimensions(model) - 1 else tensor
    try:
        shape = tuple(int(s) for s in value)
    except (TypeError, ValueError):
        shape = ()
    if not shape or min(shape) < 1 or math.prod(shape) > MOST:
        raise TraceError(
            f"{_RULE}, whole numbers from 1 with a product of at most {MOST:,}, but got "
            f"{shown(value)}."
        )
    return torch.zeros(1, *shape, device=at.device, dtype=at.dtype)


def _dimensions(model: nn.Module) -> int:
    """Of a batch of images: 4, or what the first convolution works on."""
    kinds = {nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5}
    for module in model.modules():
        for kind, dimensions in kinds.items():
            if isinstance(module, kind):
                return dimensions
    return 4


def _first(tensors: list[Tensor]) -> list[Tensor]:
    """The first example of a batch; tensors of different lengths are no batch and stay whole."""
    lengths = {t.shape[0] if t.ndim else 0 for t in tensors}
    return [t[:1] for t in tensors] if len(lengths) == 1 and 0 not in lengths else tensors


def _input(tensor: Tensor, name: str = "") -> Input:
    dtype = "float" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
    return Input(tuple(int(s) for s in tensor.shape), name, dtype)


def _takes(model: nn.Module, named: Mapping[str, Tensor]) -> bool:
    try:
        inspect.signature(model.forward).bind(**named)
    except (TypeError, ValueError):
        return False
    return True

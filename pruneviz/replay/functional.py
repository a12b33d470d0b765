"""Facts about single operations: in-place ones and their pure counterparts.

A recorded operation must be repeatable, so `x.add_(y)` is recorded as `x + y`; where the memory of
`x` is not needed any more, a replay runs `x.add_(y)` again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Facts about tensors that do not depend on their values: constants of a tape.
METADATA = frozenset(
    {
        "dim",
        "ndim",
        "ndimension",
        "size",
        "shape",
        "stride",
        "numel",
        "nelement",
        "__len__",
        "dtype",
        "device",
        "layout",
        "is_contiguous",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "is_cuda",
        "is_cpu",
        "is_mps",
        "is_meta",
        "is_sparse",
        "is_quantized",
        "is_nested",
        "is_leaf",
        "requires_grad",
        "names",
        "storage_offset",
        "element_size",
        "itemsize",
        "nbytes",
        "get_device",
        "grad",
        "grad_fn",
        "is_same_size",
        "is_conj",
        "is_neg",
        "is_inference",
        "is_mkldnn",
        "is_xpu",
        "is_tensor",
        "is_storage",
        "is_pinned",
        "dim_order",
        "result_type",
        "can_cast",
        "_version",
        "has_names",
        "type",
        "broadcast_shapes",
        "output_nr",
        "_base",
        "_is_view",
        "retains_grad",
        "__hash__",
        "is_autocast_enabled",
        "get_default_dtype",
    }
)
# The result's shape depends on values: nothing a tape can repeat.
DATA_SHAPED = frozenset(
    {
        "nonzero",
        "argwhere",
        "masked_select",
        "unique",
        "unique_consecutive",
        "bincount",
        "repeat_interleave",
        "histc",
        "nonzero_static",
        "combinations",
        "unravel_index",
    }
)
# Results that never share memory with an argument.
_FRESH = frozenset(
    {
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "linear",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "add",
        "sub",
        "mul",
        "div",
        "relu",
        "relu6",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "silu",
        "gelu",
        "sigmoid",
        "tanh",
        "leaky_relu",
        "elu",
        "mish",
        "prelu",
        "max_pool2d",
        "avg_pool2d",
        "matmul",
        "bmm",
    }
)
_ARITHMETIC = {"add": "add_", "sub": "sub_", "mul": "mul_", "div": "div_"}
_UNARY = {"relu": torch.relu_, "sigmoid": torch.sigmoid_, "tanh": torch.tanh_}


def name_of(func: Callable[..., Any]) -> str:
    """Return the plain name of a torch function: 'add_' for Tensor.add_, 'shape' for a getter."""
    name: str = getattr(func, "__name__", repr(func))
    if name in ("__get__", "__set__"):
        owner = getattr(func, "__self__", None)
        name = getattr(owner, "__name__", name) + ("" if name == "__get__" else "=")
    return name


@dataclass(frozen=True, slots=True)
class Pure:
    """A repeatable form of a call, and its in-place forms by position of the argument taken."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reuse: Mapping[int, Callable[..., Any]] = field(default_factory=dict)
    fresh: bool = False


@cache
def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):
        return None


def pure(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pure | None:
    """Return the pure form of a call; None where only a copy can make it repeatable."""
    name = name_of(func)
    signature = _signature(func)
    if signature is not None and "inplace" in signature.parameters:
        return _switchable(func, signature, args, kwargs)
    if kwargs.get("out") is not None:
        return None
    stem = _stem(name)
    if stem in _ARITHMETIC and len(args) == 2 and isinstance(args[0], Tensor):
        return _arithmetic(stem, name != stem, args, kwargs)
    if stem in _UNARY and len(args) == 1 and not kwargs:
        return Pure(getattr(torch, stem), args, {}, {0: _UNARY[stem]}, fresh=True)
    if name != stem:
        return None
    return Pure(func, args, kwargs, fresh=name in _FRESH)


def _stem(name: str) -> str:
    """'add' for 'add', 'add_', '__add__', '__iadd__'; '__radd__' keeps its name."""
    if name.startswith("__") and name.endswith("__"):
        inner = name[2:-2]
        plain = {"truediv": "div", "itruediv": "div", "isub": "sub", "imul": "mul", "iadd": "add"}
        return plain.get(inner, inner if inner in _ARITHMETIC else name)
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def _switchable(
    func: Callable[..., Any],
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Pure:
    """Split a functional with an `inplace` argument into its two forms."""
    bound = signature.bind(*args, **kwargs).arguments
    first, *rest = bound
    if first not in ("input", "x"):
        return Pure(func, args, kwargs)
    options = {k: bound[k] for k in rest if k != "inplace"}

    def outside(x: Tensor, **more: Any) -> Any:
        return func(x, **more, inplace=False)

    def inside(x: Tensor, **more: Any) -> Any:
        return func(x, **more, inplace=True)

    return Pure(outside, (bound[first],), options, {0: inside}, name_of(func) in _FRESH)


def _arithmetic(
    stem: str, in_place: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Pure | None:
    """Binary arithmetic: in place on either side where shape and type stay the same."""
    left, right = args
    shape = np.broadcast_shapes(left.shape, getattr(right, "shape", ()))
    same = left.is_floating_point() and not isinstance(right, complex)
    if isinstance(right, Tensor):
        same = same and (right.dtype == left.dtype or (right.dim() == 0 and left.dim() > 0))
    if in_place and not (same and shape == tuple(left.shape)):
        return None
    call, into = getattr(torch, stem), getattr(Tensor, _ARITHMETIC[stem])
    reuse: dict[int, Callable[..., Any]] = {}
    if same and shape == tuple(left.shape) and left.layout == torch.strided:
        reuse[0] = _checked(into, call, 0)
        commutes = stem == "mul" or (stem == "add" and not kwargs)
        if commutes and isinstance(right, Tensor) and right.shape == left.shape:
            reuse[1] = _checked(into, call, 1)
    return Pure(call, args, kwargs, reuse, fresh=True)


def _checked(into: Callable[..., Any], call: Callable[..., Any], side: int) -> Callable[..., Any]:
    """In place on one side, unless layouts differ (the pure form would choose the left's)."""

    def run(left: Tensor, right: Any, **kwargs: Any) -> Any:
        if side == 1:
            if left.stride() != right.stride() or left.dtype != right.dtype:
                return call(left, right, **kwargs)
            return into(right, left)
        same_shape = isinstance(right, Tensor) and right.shape == left.shape
        if same_shape and right.stride() != left.stride():
            return call(left, right, **kwargs)
        return into(left, right, **kwargs)

    return run


@dataclass(frozen=True, slots=True)
class Copied:
    """An in-place call made repeatable: it works on a copy, which is the result.

    `view` is the (shape, stride, offset) under which the call sees the copied memory.
    """

    func: Callable[..., Any]
    position: int | str
    view: tuple[tuple[int, ...], tuple[int, ...], int] | None

    def __call__(self, whole: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Copy, change the copy, return it."""
        result = whole.clone()
        target = result
        if self.view is not None:
            shape, stride, offset = self.view
            target = torch.as_strided(result, shape, stride, offset)
        if isinstance(self.position, str):
            kwargs[self.position] = target
        else:
            args = (*args[: self.position], target, *args[self.position :])
        self.func(*args, **kwargs)
        return result

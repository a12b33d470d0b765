"""Make a recorded program faster without changing what it computes, rounding aside.

- A batch norm that directly follows a convolution or linear layer, and is alone in reading it, is
  folded into its weights: `w' = w γ / sqrt(var + ε)`, `b' = (b - mean) γ / sqrt(var + ε) + β`.
- A convolution whose weight columns are zeroed may leave out these columns and the input channels
  that they would read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pruneviz.replay.program import Derived, Name, Op, Program, Ref, named, references

_NORM = inspect.signature(F.batch_norm)
_LAYERS = ("conv1d", "conv2d", "conv3d", "linear")

# Gathering a channel costs about as much as this many multiply-adds a position (measured).
_GATHER = 300


@dataclass(frozen=True, slots=True)
class Kept:
    """A weight without the columns that are zero, and the input channels that remain."""

    weight: Tensor
    channels: Tensor


def fold(program: Program) -> Program:
    """Return the program with batch norms folded into the layers before them."""
    readers = program.readers()
    maker = {v: i for i, op in enumerate(program.ops) for v in op.writes}
    derived = dict(program.derived)
    ops: list[Op | None] = list(program.ops)
    for index, norm in enumerate(program.ops):
        parts = _norm_parts(norm)
        if parts is None or parts["input"] not in maker:
            continue
        before = ops[maker[parts["input"]]]
        if before is None or readers[parts["input"]] != [index] or len(before.writes) != 1:
            continue
        folded = _folded(before, norm, parts, derived)
        if folded is not None:
            ops[maker[parts["input"]]], ops[index] = folded, None
    kept = tuple(_skipping(op) for op in ops if op is not None)
    return replace(program, ops=kept, derived=derived)


def _norm_parts(op: Op) -> dict[str, Any] | None:
    """Return the arguments of a batch norm in eval mode, else None."""
    if op.call is not F.batch_norm:
        return None
    bound = _NORM.bind(*op.args, **op.kwargs)
    bound.apply_defaults()
    parts = dict(bound.arguments)
    names = [parts[k] for k in ("running_mean", "running_var", "weight", "bias")]
    if parts["training"] or type(parts["input"]) is not Ref:
        return None
    if any(type(n) is not Name for n in names[:2]):
        return None
    if any(n is not None and type(n) is not Name for n in names):
        return None
    parts["input"] = parts["input"].value
    return parts


def layer_parts(op: Op) -> tuple[Any, Any, tuple[Any, ...], dict[str, Any]] | None:
    """Return weight, bias, the arguments after them, and keywords, of a layer's operation."""
    if op.label not in _LAYERS:
        return None
    args, kwargs = list(op.args), dict(op.kwargs)
    weight = args[1] if len(args) > 1 else kwargs.pop("weight", None)
    bias = args[2] if len(args) > 2 else kwargs.pop("bias", None)
    if not args or type(weight) is not Name or not (bias is None or type(bias) is Name):
        return None
    return weight, bias, tuple(args[3:]), kwargs


def _folded(
    layer: Op, norm: Op, parts: Mapping[str, Any], derived: dict[str, Derived]
) -> Op | None:
    arguments = layer_parts(layer)
    if arguments is None:
        return None
    weight, bias, rest, kwargs = arguments
    wanted = {
        "w": weight,
        "b": bias,
        **{k: parts[k] for k in ("running_mean", "running_var", "weight", "bias")},
    }
    present = {k: n.name for k, n in wanted.items() if n is not None}
    key = "|".join((weight.name, *sorted(present.values()), repr(parts["eps"])))
    sources = tuple(present.values())
    compute = _Folding(tuple(present), parts["eps"])
    derived[f"{key}|weight"] = Derived(sources, compute.weight, scaled=weight.name)
    derived[f"{key}|bias"] = Derived(tuple(s for s in sources if s != weight.name), compute.bias)
    args = (layer.args[0], Name(f"{key}|weight"), Name(f"{key}|bias"), *rest)
    return replace(
        layer,
        args=args,
        kwargs=kwargs,
        writes=norm.writes,
        names=frozenset(sources),
        reads=references(*args, *kwargs.values()),
    )


@dataclass(frozen=True)
class _Folding:
    """Computes a folded layer's tensors; in double precision, as one rounding is enough."""

    keys: tuple[str, ...]
    eps: float

    def _scale(self, given: Mapping[str, Tensor]) -> Tensor:
        scale = (_precise(given["running_var"]) + self.eps).rsqrt()
        return scale * _precise(given["weight"]) if "weight" in given else scale

    def weight(self, *tensors: Tensor) -> Tensor:
        """Return the weight (O, I, ...) of layer and norm together."""
        given = dict(zip(self.keys, tensors, strict=True))
        w = given["w"]
        scale = self._scale(given).view(-1, *([1] * (w.dim() - 1)))
        return (_precise(w) * scale).to(w.dtype, memory_format=torch.preserve_format)

    def bias(self, *tensors: Tensor) -> Tensor:
        """Return the bias (O,) of layer and norm together."""
        given = dict(zip((k for k in self.keys if k != "w"), tensors, strict=True))
        shift = -_precise(given["running_mean"])
        if "b" in given:
            shift = shift + _precise(given["b"])
        shift = shift * self._scale(given)
        if "bias" in given:
            shift = shift + _precise(given["bias"])
        return shift.to(given["running_var"].dtype)


def _precise(t: Tensor) -> Tensor:
    return t if t.device.type == "mps" else t.double()  # which has no double precision


def _skipping(op: Op) -> Op:
    """Let a layer take a weight without its zero columns."""
    arguments = layer_parts(op)
    if arguments is None or op.label == "conv1d" or type(op.args[0]) is not Ref:
        return op
    groups = arguments[2][3] if len(arguments[2]) > 3 else arguments[3].get("groups", 1)
    if op.label != "linear" and groups != 1:
        return op
    return replace(op, call=Skipping(op.call, op.label == "linear"))


@dataclass(frozen=True, slots=True)
class Skipping:
    """A layer that reads only the channels its weight has columns for."""

    call: Callable[..., Tensor]
    linear: bool
    skips: bool = True

    def __call__(self, x: Tensor, weight: Tensor | Kept, *args: Any, **kwargs: Any) -> Tensor:
        """Run the layer; `x` is (N, C, ...), or (..., C) for a linear layer."""
        if isinstance(weight, Kept):
            x = take(x, weight.channels, -1 if self.linear else 1)
            weight = weight.weight
        return self.call(x, weight, *args, **kwargs)


def weights_of(program: Program) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that operations use, and those of weights that may come as `Kept`."""
    used = {name for op in program.ops for name in named(*op.args, *op.kwargs.values())}
    strict: set[str] = set()
    for op in program.ops:
        plain = (*op.args, *op.kwargs.values())
        if getattr(op.call, "skips", False):
            plain = (op.args[0], *op.args[2:], *op.kwargs.values())
        strict |= named(*plain)
    return frozenset(used), frozenset(used - strict)


def take(x: Tensor, channels: Tensor, dim: int) -> Tensor:
    """Return some channels of (N, C, H, W) in the memory layout of `x`."""
    if dim == 1 and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).index_select(3, channels).permute(0, 3, 1, 2)
    return x.index_select(dim, channels)


def worth_skipping(weight: Tensor, dropped: int) -> bool:
    """Whether leaving out `dropped` input channels of a weight (O, I, ...) pays for gathering."""
    width = weight.shape[1]
    if weight.dim() not in (2, 4) or not 0 < dropped < width:
        return False
    return weight[:, 0].numel() * dropped > _GATHER * (width - dropped)

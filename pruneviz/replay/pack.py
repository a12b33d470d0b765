"""On a CPU: convolutions whose weights lie as oneDNN wants them, with the activation fused in.

A convolution otherwise rearranges its weight at every call, which for a deep layer on a small
mini-batch costs up to a third of its time; and the activation is another pass over memory. The
same kernels compute the same values. Weights that a replay changes are given as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pruneviz.replay.fast import Kept, layer_parts, take
from pruneviz.replay.program import Derived, Name, Op, Program, Ref, references

_ACTIVATIONS: dict[str, Callable[[Mapping[str, Any]], tuple[str, list[float]] | None]] = {
    "relu": lambda options: ("relu", []),
    "relu6": lambda options: ("hardtanh", [0.0, 6.0]),
    "hardtanh": lambda options: (
        "hardtanh",
        [float(options.get("min_val", -1.0)), float(options.get("max_val", 1.0))],
    ),
    "silu": lambda options: ("swish", []),
    "hardswish": lambda options: ("hardswish", []),
}


@cache
def available() -> bool:
    """Whether this build of torch has the kernels, and they compute a convolution.

    They are torch's own and may be renamed, take other arguments or mean something else with any
    release; then convolutions run as the network has them.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x = torch.linspace(-1, 1, 2 * 3 * 5 * 5).view(2, 3, 5, 5)
    weight = torch.linspace(1, -1, 4 * 3 * 3 * 3).view(4, 3, 3, 3)
    call = Fused("relu", (), (1, 1), (1, 1), (1, 1), 1)
    try:
        with torch.no_grad():
            fused = call(x, _reordered(weight, call, x.shape), None)
            expected = torch.nn.functional.conv2d(x, weight, padding=1).relu()
            return torch.allclose(fused, expected, atol=1e-5)
    except Exception:  # whatever a release raises that has them no longer
        return False


def _reordered(weight: Tensor, call: Fused, size: Sequence[int]) -> Tensor:
    """The weight as the kernel wants it for inputs of that size."""
    result: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, call.padding, call.stride, call.dilation, call.groups, list(size)
    )
    return result


@dataclass(frozen=True, slots=True)
class Fused:
    """A convolution with an activation: `activation(conv2d(x, weight, bias))`."""

    activation: str
    scalars: tuple[float, ...]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def skips(self) -> bool:
        """Whether the weight may come without its zero columns."""
        return self.groups == 1

    def __call__(self, x: Tensor, weight: Tensor | Kept, bias: Tensor | None) -> Tensor:
        """Run the layer on (N, C, H, W)."""
        if isinstance(weight, Kept):
            x = take(x, weight.channels, 1)
            weight = weight.weight
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x,
            weight,
            bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            self.activation,
            self.scalars,
            "",
        )
        return result


def pack(program: Program) -> Program:
    """Return the program with packed convolutions, activations fused where they follow alone."""
    readers = program.readers()
    derived = dict(program.derived)
    ops: list[Op | None] = list(program.ops)
    for index, op in enumerate(program.ops):
        geometry = _geometry(op, program)
        if geometry is None:
            continue
        activation: tuple[str, list[float]] = ("none", [])
        writes, following = op.writes, readers.get(op.writes[0], [])
        if len(following) == 1 and following[0] < len(program.ops):
            after = program.ops[following[0]]
            fused = _activation(after)
            if fused is not None and after.reads == op.writes:
                activation, writes = fused, after.writes
                ops[following[0]] = None
        call = Fused(activation[0], tuple(activation[1]), *geometry)
        ops[index] = _packed(op, call, writes, program, derived)
    return replace(program, ops=tuple(op for op in ops if op is not None), derived=derived)


def _activation(op: Op) -> tuple[str, list[float]] | None:
    name = op.label.rstrip("_")
    known = _ACTIVATIONS.get(name)
    if known is None or len(op.args) != 1 or type(op.args[0]) is not Ref or len(op.writes) != 1:
        return None
    return known(op.kwargs)


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    fits = isinstance(value, (tuple, list)) and 1 <= len(value) <= 2
    if not fits or not all(isinstance(v, int) for v in value):
        return None
    return int(value[0]), int(value[-1])


def _geometry(
    op: Op, program: Program
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int] | None:
    """Return stride, padding, dilation, groups of a float convolution over (N, C, H, W)."""
    arguments = layer_parts(op)
    if arguments is None or op.label != "conv2d" or type(op.args[0]) is not Ref:
        return None
    meta = program.metas[op.args[0].value]
    if meta.dtype != torch.float32 or len(meta.shape) != 4:
        return None
    keys = ("stride", "padding", "dilation", "groups")
    options: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    options.update(zip(keys, arguments[2], strict=False))
    options.update(arguments[3])
    stride, padding, dilation = (_pair(options[k]) for k in keys[:3])
    if stride is None or padding is None or dilation is None or set(options) != set(keys):
        return None
    return stride, padding, dilation, int(options["groups"])


def _packed(
    op: Op, call: Fused, writes: tuple[int, ...], program: Program, derived: dict[str, Derived]
) -> Op:
    arguments = layer_parts(op)
    assert arguments is not None
    weight, bias, _, _ = arguments
    before = derived.get(weight.name)
    size = program.metas[op.args[0].value].shape
    key = f"{weight.name}|{call.stride}{call.padding}{call.dilation}|{size}"

    def arrange(*sources: Tensor) -> Tensor:
        dense = sources[0] if before is None else before.compute(*sources)
        return _reordered(dense, call, size)

    sources = (weight.name,) if before is None else before.sources
    scaled = weight.name if before is None else before.scaled
    derived[key] = Derived(sources, arrange, scaled=scaled, dense=weight.name)
    args = (op.args[0], Name(key), bias)
    return replace(
        op,
        call=call,
        args=args,
        kwargs={},
        writes=writes,
        reads=references(*args),
        names=op.names,
        label="conv2d",
        fresh=True,
    )

"""What each torch operation does to channels: a table from its name to a short handler.

An operation that is not in the table is not followed: the channels that enter it are fixed, with
its name as the reason. So a missing entry costs pruning opportunities, never correctness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..channels import IntArray
from .flow import Choice, Flow, LayerRecord, Size, along, core, tidy, varying


@dataclass(frozen=True)
class Call:
    """One intercepted call: its arguments, its result, and the shadows of its inputs."""

    full: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    inputs: list[Tensor]
    maps: list[Any]
    shadows: list[Tensor | None]

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        if index < len(self.args):
            return self.args[index]
        return self.kwargs.get(name, default)

    @property
    def first(self) -> Tensor:
        """The tensor that the operation is applied to."""
        return self.inputs[0]

    @property
    def shadow(self) -> Tensor | None:
        """The first tensor's shadow."""
        return self.shadows[0] if self.shadows else None

    @property
    def outputs(self) -> list[Tensor]:
        """All tensors of the result."""
        if isinstance(self.out, Tensor):
            return [self.out]
        return [t for t in self.out if isinstance(t, Tensor)] if self.out is not None else []

    @property
    def carries(self) -> bool:
        """Whether any input carries channels."""
        return any(s is not None for s in self.shadows)

    def dims(self, index: int = 1, name: str = "dim") -> list[int] | None:
        """The `dim` argument as non-negative dimensions, None where it was not given."""
        value = self.arg(index, name, self.kwargs.get("axis"))
        if value is None:
            return None
        values = value if isinstance(value, (tuple, list)) else (value,)
        return [int(v) % max(self.first.ndim, 1) for v in values]


Handler = Callable[[Flow, Call], None]
HANDLERS: dict[str, Handler] = {}


def handles(names: str) -> Callable[[Handler], Handler]:
    """Register a handler for the operations of these names."""

    def register(handler: Handler) -> Handler:
        for name in names.split():
            HANDLERS[name] = handler
        return handler

    return register


def unknown(flow: Flow, call: Call) -> None:
    """Not followed: what enters can never be removed."""
    flow.attention |= "attention" in call.name
    leave(flow, call, f"passes through {call.full}, which PruneViz cannot follow")


def leave(flow: Flow, call: Call, reason: str) -> None:
    """Fix what enters, and let nothing out."""
    flow.fix_all((t for t in call.inputs if flow.name(t) is None), reason)
    for out in call.outputs:
        flow.set_shadow(out, None)


# -- layers --------------------------------------------------------------------------------------


@handles("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear")
def layer(flow: Flow, call: Call) -> None:
    """Convolution and linear: read input channels, make new output channels."""
    x, weight, bias = call.first, call.arg(1, "weight"), call.arg(2, "bias")
    name = flow.name(weight)
    if name is None or (bias is not None and flow.name(bias) is None):
        leave(flow, call, f"enters a {call.name} whose weight is computed while the network runs")
        return
    transposed = "transpose" in call.name
    groups = 1
    if call.name != "linear":
        groups = int(call.arg(6, "groups", 1))
    spatial = 0 if call.name == "linear" else weight.ndim - 2
    dim = x.ndim - 1 - spatial
    out_dim, in_dim = (1, 0) if transposed else (0, 1)
    record = _record(flow, call, name, bias, groups, call.out.shape[dim], x.shape[dim])
    shadow = call.shadow
    entering = (
        np.zeros(x.shape[dim], dtype=np.int64)
        if shadow is None
        else flow.vector(shadow, dim, "is read together with the network's input")
    )
    places = x.numel() // x.shape[dim] if transposed else call.out.numel() // call.out.shape[dim]
    if flow.counting:
        record.positions += places
        record.macs += places * weight.numel()
    flow.tokens |= call.name == "linear" and x.ndim > 2
    reads_input = "reads the network's input"
    if bias is not None:
        flow.tie(record.out, flow.slot(flow.name(bias) or "", 0), "")
    if groups == 1:
        flow.tie(flow.slot(name, in_dim), entering, reads_input)
        flow.tie(record.out, flow.slot(name, out_dim), "")
        flow.reads.setdefault(name, set()).add(in_dim)
    else:
        _grouped(flow, record, entering, groups, transposed)
    flow.set_shadow(call.out, along(record.out, call.out.shape, dim))
    flow.set_map(call.out, record, flow.call_index)


def _record(
    flow: Flow, call: Call, name: str, bias: Any, groups: int, out: int, entering: int
) -> LayerRecord:
    record = flow.layers.get(name)
    if record is None:
        weight = flow.tensors[name]
        record = LayerRecord(
            name=name.removesuffix(".weight"),
            kind=call.name,
            weight=name,
            out=flow.new_atoms(out),
            in_channels=entering,
            conv_groups=groups,
            kernel=tuple(int(k) for k in weight.shape[2:]),
            stride=_stride(call),
            parameters=weight.numel() + (0 if bias is None else bias.numel()),
        )
        flow.layers[name] = record
    return record


def _stride(call: Call) -> tuple[int, ...]:
    if call.name == "linear":
        return ()
    stride = call.arg(3, "stride", 1)
    return tuple(stride) if isinstance(stride, (tuple, list)) else (int(stride),)


def _grouped(
    flow: Flow, record: LayerRecord, entering: IntArray, groups: int, transposed: bool
) -> None:
    """A grouped convolution loses whole groups, or one position in every group."""
    weight = record.weight
    read = entering.reshape(groups, -1)
    made = record.out.reshape(groups, -1)
    whole = [(read[:, :1], read[:, 1:]), (read[:, :1], made)]
    position = [(read[:1], read[1:]), (made[:1], made[1:])]
    if transposed:
        # weight: (in, out / groups, ...): its rows are input channels
        rows = flow.slot(weight, 0).reshape(groups, -1)
        whole.append((rows, read))
        position += [(rows, read), (made[0], flow.slot(weight, 1))]
    else:
        # weight: (out, in / groups, ...): its rows are output channels
        rows = flow.slot(weight, 0).reshape(groups, -1)
        whole.append((rows, made))
        position += [(rows, made), (read[0], flow.slot(weight, 1))]
        flow.reads.setdefault(weight, set()).add(1)
    path, module = flow.owner(weight)
    adjustable = isinstance(getattr(module, "groups", None), int)
    depthwise = read.shape[1] == 1
    flow.choices[f"{path}@{len(flow.choices)}"] = Choice(
        module=path,
        layer=record.name,
        groups=groups,
        whole=tuple(whole),
        position=tuple(position),
        unmaskable=np.empty(0, np.int64),
        whole_finer=adjustable and (depthwise or groups >= read.shape[1] + made.shape[1]),
        adjustable=adjustable,
        depthwise=depthwise and adjustable,
    )


# -- normalisation -------------------------------------------------------------------------------


def _affine(flow: Flow, call: Call, vector: IntArray, stored: Sequence[Any], dim: int = 0) -> None:
    for tensor in stored:
        if tensor is None:
            continue
        name = flow.name(tensor)
        if name is None:
            flow.fix(vector, f"meets a tensor computed at run time in {call.full}")
        else:
            flow.tie(vector, flow.slot(name, dim), "")


@handles("batch_norm instance_norm")
def per_channel_norm(flow: Flow, call: Call) -> None:
    """Each channel is normalised by itself, with its own stored statistics."""
    x, shadow = call.first, call.shadow
    stored = [
        call.arg(i, n)
        for i, n in ((1, "running_mean"), (2, "running_var"), (3, "weight"), (4, "bias"))
    ]
    if shadow is None:
        shadow = torch.zeros(1, dtype=torch.int64).expand(x.shape)
    vector = flow.vector(shadow, 1, "is normalised together with a constant")
    _affine(flow, call, vector, stored)
    flow.set_shadow(call.out, along(vector, x.shape, 1))
    flow.pass_map(x, call.out, call.maps[0])


@handles("group_norm")
def group_norm(flow: Flow, call: Call) -> None:
    """Normalises across the channels of a group: whole groups can go, or positions (unmasked)."""
    x, shadow, groups = call.first, call.shadow, int(call.arg(1, "num_groups"))
    weight, bias = call.arg(2, "weight"), call.arg(3, "bias")
    if shadow is None:
        shadow = torch.zeros(1, dtype=torch.int64).expand(x.shape)
    vector = flow.vector(shadow, 1, "is normalised together with a constant")
    _affine(flow, call, vector, (weight, bias))
    table = vector.reshape(groups, -1)
    name = flow.name(weight)
    path, module = flow.owner(name) if name else ("", None)
    adjustable = isinstance(module, torch.nn.GroupNorm)
    flow.choices[f"{path}@{len(flow.choices)}"] = Choice(
        module=path,
        layer=path,
        groups=groups,
        whole=((table[:, :1], table[:, 1:]),),
        position=((table[:1], table[1:]),),
        unmaskable=vector,
        whole_finer=adjustable and groups > table.shape[1],
        adjustable=adjustable,
    )
    flow.set_shadow(call.out, along(vector, x.shape, 1))
    flow.pass_map(x, call.out, call.maps[0])


@handles("layer_norm rms_norm")
def layer_norm(flow: Flow, call: Call) -> None:
    """Normalises over the trailing dimensions; masking cannot imitate a removed channel there."""
    x, shadow = call.first, call.shadow
    if shadow is None:
        flow.set_shadow(call.out, None)
        return
    shape = list(call.arg(1, "normalized_shape"))
    stored = [t for t in (call.arg(2, "weight"), call.arg(3, "bias")) if t is not None]
    first = x.ndim - len(shape)
    for dim in varying(shadow):
        if dim < first:
            continue
        vector = flow.vector(shadow, dim, "is normalised together with a constant")
        names = [flow.name(t) for t in stored]
        modules = [flow.owner(n)[1] for n in names if n]
        follows = isinstance(shape[dim - first], Size) or (
            bool(modules) and all(hasattr(m, "normalized_shape") for m in modules)
        )
        if not follows:
            flow.fix(vector, f"is normalised over a fixed size by {call.full}")
        flow.unmaskable.append(vector)
        _affine(flow, call, vector, stored, dim - first)
    flow.set_shadow(call.out, shadow)
    flow.pass_map(x, call.out, call.maps[0])


@handles("prelu")
def prelu(flow: Flow, call: Call) -> None:
    """One learned slope for all channels, or one a channel."""
    x, shadow, weight = call.first, call.shadow, call.arg(1, "weight")
    if shadow is not None and weight.numel() > 1:
        _affine(flow, call, flow.vector(shadow, 1, "meets a constant in prelu"), (weight,))
    flow.set_shadow(call.out, shadow)
    flow.pass_map(x, call.out, call.maps[0])


# -- element by element --------------------------------------------------------------------------

ACTIVATIONS = (
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid "
    "tanh softplus softsign softshrink hardshrink tanhshrink threshold logsigmoid clamp clip "
    "clamp_min clamp_max abs"
)
ELEMENTWISE = (
    "neg exp expm1 log log1p log2 log10 sqrt rsqrt square sin cos erf floor ceil round sign "
    "reciprocal positive nan_to_num isnan isinf isfinite logical_not sinh cosh tan atan asinh "
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
    "contiguous clone detach to float half double bfloat16 bool int long short masked_fill fill zero type type_as cpu cuda data requires_grad "
    "zeros_like ones_like empty_like rand_like randn_like full_like alias "
    "add sub mul div true_divide floor_divide remainder fmod radd rsub rmul rdiv rtruediv truediv "
    "iadd isub imul idiv itruediv subtract multiply divide maximum minimum fmax fmin pow rpow ipow "
    "where lerp addcmul addcdiv eq ne lt le gt ge and or xor logical_and logical_or atan2 hypot"
)


@handles(ACTIVATIONS + " " + ELEMENTWISE)
def elementwise(flow: Flow, call: Call) -> None:
    """Channels that meet in the same place are tied."""
    if not call.carries:
        for out in call.outputs:
            flow.set_shadow(out, None)
        return
    out = call.outputs[0]
    ndim = out.ndim
    shadows = [_stored(flow, call, i, t) for i, t in enumerate(call.inputs)]
    dims = {d + ndim - s.ndim for s in shadows if s is not None for d in varying(s)}
    whole: list[Tensor] = []
    constant = False
    for tensor, shadow in zip(call.inputs, shadows, strict=True):
        sizes = [1] * (ndim - tensor.ndim) + list(tensor.shape)
        spread = [d for d in dims if sizes[d] == 1 and out.shape[d] > 1]
        if shadow is None:
            constant |= any(sizes[d] > 1 for d in dims)
        elif spread and not varying(shadow):
            flow.fix(core(shadow).numpy().ravel(), "is spread over the channels of another layer")
        else:
            short = core(shadow)
            whole.append(short.reshape([1] * (ndim - short.ndim) + list(short.shape)))
    if not whole:
        whole = [
            core(s).reshape([1] * (ndim - s.ndim) + list(core(s).shape))
            for s in shadows
            if s is not None
        ][:1]
    result = whole[0]
    for other in whole[1:]:
        a, b = torch.broadcast_tensors(result, other)
        flow.tie(a.numpy(), b.numpy(), f"is combined with a constant by {call.full}")
        result = torch.maximum(a, b) if a.shape != result.shape or bool((a == 0).any()) else result
    if constant:
        flow.fix(
            result.numpy().ravel(), f"is combined with a constant of fixed size by {call.full}"
        )
    flow.set_shadow(out, result)
    for tensor, of in zip(call.inputs, call.maps, strict=True):
        plain = len(whole) == 1 and call.name in ACTIVATION_NAMES
        if of is not None and plain:
            flow.pass_map(tensor, out, of)


ACTIVATION_NAMES = frozenset(ACTIVATIONS.split()) | {"contiguous", "dropout", "clone"}


def _stored(flow: Flow, call: Call, index: int, tensor: Tensor) -> Tensor | None:
    """An operand's shadow; a stored tensor with several long dimensions follows the others."""
    shadow = call.shadows[index]
    name = flow.name(tensor)
    if shadow is not None or name is None or tensor.numel() == 1:
        return shadow
    out = call.outputs[0]
    dims = {
        d + out.ndim - s.ndim - (out.ndim - tensor.ndim)
        for s in call.shadows
        if s is not None
        for d in varying(s)
    }
    own = [d for d in dims if d >= 0 and tensor.shape[d] > 1]
    return along(flow.slot(name, own[0]), tensor.shape, own[0]) if len(own) == 1 else None


@handles("glu")
def glu(flow: Flow, call: Call) -> None:
    """The second half of the channels gates the first."""
    dim = int(call.arg(1, "dim", -1)) % call.first.ndim
    if call.shadow is None:
        return flow.set_shadow(call.out, None)
    a, b = core(call.shadow).expand(call.shadow.shape).chunk(2, dim)
    if dim in varying(call.shadow):
        flow.tie(core(a).numpy(), core(b).numpy(), "is gated by a constant")
    return flow.set_shadow(call.out, a)


# -- within each channel -------------------------------------------------------------------------


@handles(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "adaptive_max_pool3d lp_pool1d lp_pool2d max_pool1d_with_indices max_pool2d_with_indices "
    "adaptive_max_pool2d_with_indices fractional_max_pool2d interpolate upsample "
    "upsample_nearest upsample_bilinear local_pool boolean_dispatch max_unpool2d grid_sample"
)
def spatial(flow: Flow, call: Call) -> None:
    """Pooling and resampling: every channel by itself, along dimension 1."""
    if call.shadow is None:
        for out in call.outputs:
            flow.set_shadow(out, None)
        return
    vector = flow.vector(call.shadow, 1, "is pooled together with a constant")
    for out in call.outputs:
        flow.set_shadow(out, along(vector, out.shape, 1))


@handles("pad")
def pad(flow: Flow, call: Call) -> None:
    """Padding along channels adds channels of a fixed number."""
    if call.shadow is None:
        return flow.set_shadow(call.out, None)
    amounts = [int(v) for v in call.arg(1, "pad")]
    ndim = call.first.ndim
    grown = [ndim - 1 - i // 2 for i, v in enumerate(amounts) if v]
    touched = [d for d in grown if d in varying(call.shadow)]
    if not touched:
        return flow.set_shadow(call.out, _grow(call.shadow, call.out))
    if any(isinstance(v, Size) for v in call.arg(1, "pad")):
        flow.fix_all(call.inputs, "is padded along its channels by an amount computed from them")
    return flow.set_shadow(
        call.out, tidy(torch.nn.functional.pad(call.shadow.contiguous(), amounts))
    )


def _grow(shadow: Tensor, out: Tensor) -> Tensor:
    return core(shadow).expand(out.shape)


@handles(
    "mean sum amax amin max min std var norm prod logsumexp argmax argmin any all median nansum "
    "nanmean std_mean var_mean count_nonzero vector_norm"
)
def reduce(flow: Flow, call: Call) -> None:
    """Reductions over positions keep channels; over channels they cannot be followed."""
    if sum(s is not None for s in call.shadows) > 1:
        return elementwise(flow, call)  # max(a, b), min(a, b)
    shadow = call.shadow
    if shadow is None:
        return leave(flow, call, f"is reduced by {call.full}")
    index = 2 if call.name in ("norm", "vector_norm") else 1
    dims = call.dims(index)
    if dims is None or not dims or isinstance(call.arg(index, "dim"), bool):
        dims = list(range(call.first.ndim))
    if any(d in varying(shadow) for d in dims):
        return leave(flow, call, f"is reduced over its channels by {call.full}")
    out = call.outputs[0]
    short = core(shadow)
    if out.ndim != call.first.ndim:
        for d in sorted(dims, reverse=True):
            short = short.select(d, 0)
    for o in call.outputs:
        flow.set_shadow(o, short)
    return None


@handles("softmax log_softmax softmin normalize cumsum cumprod sort argsort roll logcumsumexp")
def along_dim(flow: Flow, call: Call) -> None:
    """Operations along one dimension, harmless where that is not the channels'."""
    shadow = call.shadow
    if shadow is None:
        return leave(flow, call, f"passes through {call.full}")
    index = 2 if call.name in ("normalize", "roll") else 1
    dims = call.dims(index, "dims" if call.name == "roll" else "dim")
    if call.name == "normalize" and dims is None:
        dims = [1]
    if dims is None or any(d in varying(shadow) for d in dims):
        return leave(flow, call, f"passes through {call.full} along its channels")
    for out in call.outputs:
        flow.set_shadow(out, shadow)
    return None

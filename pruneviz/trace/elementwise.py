"""Operations element by element: activations, arithmetic, dropout, conversions."""

from __future__ import annotations

import torch
from torch import Tensor

from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles
from pruneviz.trace.shadows import along, core, varying
from pruneviz.trace.sizes import Share, Size

ACTIVATIONS = (
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh "
    "sigmoid tanh softplus softsign softshrink hardshrink tanhshrink threshold logsigmoid clamp "
    "clip clamp_min clamp_max abs"
)
ELEMENTWISE = (
    "neg exp expm1 log log1p log2 log10 sqrt rsqrt square sin cos erf floor ceil round sign "
    "reciprocal positive nan_to_num isnan isinf isfinite logical_not sinh cosh tan atan asinh "
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
    "contiguous clone detach to float half double bfloat16 bool int long short type type_as cpu "
    "cuda data requires_grad fill zero masked_fill alias "
    "zeros_like ones_like empty_like rand_like randn_like full_like "
    "add sub mul div true_divide floor_divide remainder fmod radd rsub rmul rdiv rtruediv truediv "
    "iadd isub imul idiv itruediv subtract multiply divide maximum minimum fmax fmin pow rpow ipow "
    "where lerp addcmul addcdiv eq ne lt le gt ge and or xor logical_and logical_or atan2 hypot"
)


@handles(ACTIVATIONS + " " + ELEMENTWISE)
def elementwise(flow: Flow, call: Call) -> None:
    """Channels that meet in the same place are coupled."""
    if not call.carries:
        for out in call.outputs:
            flow.set_shadow(out, None)
        return
    for value in (*call.args, *call.kwargs.values()):
        counted = getattr(value, "channels", None)
        if isinstance(value, (Size, Share)) and counted is not None and counted.size:
            flow.fix(counted, f"its number of channels is used in a computation by {call.full}")
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
            flow.fix(
                core(shadow).numpy().ravel(), "is broadcast over the channels of another layer"
            )
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
        a, b = result.expand_as(result + other), other.expand_as(result + other)
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
ELEMENTWISE_NAMES = frozenset(ELEMENTWISE.split())


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

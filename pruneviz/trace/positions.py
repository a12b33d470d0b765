"""Operations over positions: every channel by itself, unless they run along the channels."""

from __future__ import annotations

import torch
from torch import Tensor

from pruneviz.trace.elementwise import elementwise
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call, handles, leave
from pruneviz.trace.shadows import along, core, tidy, varying
from pruneviz.trace.sizes import Size


@handles(
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
    "adaptive_max_pool3d lp_pool1d lp_pool2d max_pool1d_with_indices max_pool2d_with_indices "
    "adaptive_max_pool2d_with_indices fractional_max_pool2d interpolate upsample "
    "upsample_nearest upsample_bilinear local_pool boolean_dispatch max_unpool2d max_unpool3d "
    "grid_sample upsample_trilinear adaptive_max_pool1d_with_indices max_pool3d_with_indices "
    "roi_align roi_pool"
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

"""Batch norms' statistics after a repair: the function kept (full), or corrected (instant).

The full repair fits the weights to the running statistics of the unpruned network, m and v. In
training a batch norm uses its batch's mean and variance, m' and v', instead: a repaired network
would begin its fine-tuning as another one, and a narrow one as a much worse one. So m' and v' are
measured, and the norm y = g (x - m) / sqrt(v + e) + b is written with them:

    g' = g sqrt(v' + e) / sqrt(v + e),    b' = b + g (m' - m) / sqrt(v + e)

which is the same function of x (`rebase_norms`).

The instant repair fits no layer to what the pruned layers before it give, so it corrects the
statistics (`correct_norms`). Both networks see the same few images: let m0 and v0 be the mean and
variance of what a norm reads in the unpruned network, m' and v' those in the pruned one, and

    q = (v' + e) / (v0 + e),    m <- m' + (m - m0) sqrt(q),    v + e <- (v + e) q

so that the norm gives what it gave, in mean and variance. What is peculiar to the images cancels,
and a network that lost nothing stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneviz.channels import ChannelGraph
from pruneviz.modes import eval_mode
from pruneviz.plan import Plan

MOST_GAIN = 10.0
"""By what factor a variance may change: a channel that is silent on the images, or nearly, would
otherwise be made as loud as it was, and its noise on other images with it."""
NormMoments = Mapping[str, tuple[Tensor, Tensor]]
"""Batch norm -> mean and variance (C,) of what it reads."""


def rebase_norms(network: nn.Module, images: Tensor) -> int:
    """Write every batch norm with the statistics of `images` (N, C, H, W); in place.

    The network is in evaluation mode and stays the same function, up to rounding. Norms without
    affine values, and those that run several times in a pass, are left alone.

    Returns:
        How many norms were written anew.
    """
    seen: dict[_BatchNorm, list[tuple[Tensor, Tensor]]] = {}

    def note(_name: str, norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if norm.affine:
            seen.setdefault(norm, []).append(_moments(inputs[0]))

    with torch.no_grad(), _before_norms(network, note):
        network(images)
    once = {norm: stats[0] for norm, stats in seen.items() if len(stats) == 1}
    for norm, moments in once.items():
        _rebase(norm, *moments)
    return len(once)


def _rebase(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    before = (norm.running_var.double() + norm.eps).sqrt()
    after = (variance + norm.eps).sqrt()
    with torch.no_grad():
        gain = norm.weight.double()
        norm.bias.add_((gain * (mean - norm.running_mean.double()) / before).to(norm.bias))
        norm.weight.copy_(gain * after / before)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


@torch.no_grad()
def measure_norms(network: nn.Module, images: Tensor) -> NormMoments:
    """Mean and variance of what every batch norm reads of `images` (N, C, H, W) the first time."""
    moments: dict[str, tuple[Tensor, Tensor]] = {}

    def note(name: str, _norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if name not in moments:
            moments[name] = _moments(inputs[0])

    with eval_mode(network), _before_norms(network, note):
        network(images)
    return moments


@torch.no_grad()
def correct_norms(
    model: nn.Module,
    pruned: nn.Module,
    graph: ChannelGraph,
    plan: Plan,
    images: Tensor,
    unpruned: NormMoments,
) -> int:
    """Have every batch norm give the mean and variance that it gave before the cut; in place.

    One pass: a norm is corrected when it is reached, so those behind it read what it gives then.

    Args:
        model: The unpruned network.
        pruned: What is left of it, its weights refitted.
        graph: The unpruned network's channels.
        plan: What was pruned.
        images: (N, C, H, W), the same that `unpruned` was measured on.
        unpruned: `measure_norms` of the unpruned network.

    Returns:
        How many norms were corrected.
    """
    slots = {t.name: t.slots.get(0) for t in graph.tensors}
    corrected: set[str] = set()

    def correct(name: str, norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if name in corrected or name not in unpruned:
            return
        corrected.add(name)
        units = slots.get(f"{name}.running_mean")
        kept = slice(None) if units is None else np.flatnonzero((units < 0) | plan.kept[units])
        old = (model.get_buffer(f"{name}.{of}") for of in ("running_mean", "running_var"))
        mean, variance = (buffer[kept].double() for buffer in old)
        mean0, variance0 = (x[kept] for x in unpruned[name])
        mean1, variance1 = _moments(inputs[0])
        gain = (variance1 + norm.eps) / (variance0 + norm.eps)
        gain = gain.clamp(1 / MOST_GAIN, MOST_GAIN)
        norm.get_buffer("running_mean").copy_(mean1 + (mean - mean0) * gain.sqrt())
        variance = (variance + norm.eps) * gain - norm.eps
        norm.get_buffer("running_var").copy_(variance.clamp_min(0))

    with eval_mode(pruned), _before_norms(pruned, correct):
        pruned(images)
    return len(corrected)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) of a norm's input (N, C, ...)."""
    variance, mean = torch.var_mean(x, [axis for axis in range(x.ndim) if axis != 1], correction=0)
    return mean.double(), variance.double()


@contextmanager
def _before_norms(
    network: nn.Module, work: Callable[[str, _BatchNorm, tuple[Tensor, ...]], None]
) -> Iterator[None]:
    """Have `work` called with each batch norm that has running statistics, before it runs."""
    hooks = [
        norm.register_forward_pre_hook(partial(work, name))
        for name, norm in network.named_modules()
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()

"""Batch norms whose statistics are those of the repaired network, without a change of what it does.

A repair leaves the running statistics of the unpruned network, m and v, and fits the weights to
them. In training a batch norm uses its batch's mean and variance, m' and v', instead: a repaired
network would begin its fine-tuning as another one, and a narrow one as a much worse one. So m' and
v' are measured, and the norm y = g (x - m) / sqrt(v + e) + b is written with them:

    g' = g sqrt(v' + e) / sqrt(v + e),    b' = b + g (m' - m) / sqrt(v + e)

which is the same function of x.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def rebase_norms(network: nn.Module, images: Tensor) -> int:
    """Write every batch norm with the statistics of `images` (N, C, H, W); in place.

    The network is in evaluation mode and stays the same function, up to rounding. Norms without
    affine values, and those that run several times in a pass, are left alone.

    Returns:
        How many norms were written anew.
    """
    norms = [
        m
        for m in network.modules()
        if isinstance(m, _BatchNorm) and m.affine and m.running_mean is not None
    ]
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        axes = [axis for axis in range(inputs[0].ndim) if axis != 1]
        variance, mean = torch.var_mean(inputs[0], axes, correction=0)
        seen.setdefault(norm, []).append((mean.double(), variance.double()))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    once = {norm: stats[0] for norm, stats in seen.items() if len(stats) == 1}
    for norm in norms:
        if norm in once:
            _rebase(norm, *once[norm])
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

"""Instant repair: pruned inputs are predicted from the others, by moments gathered beforehand.

Of the channels x that a layer reads, let K stay and D be pruned. The best linear prediction of D is

    x_D ~ mean_D + A (x_K - mean_K),    A = C_DK (C_KK + s m I)^-1,   m = tr(C_KK) / |K|

so the weights that read D are folded into those that read K, W_K + W_D A (tap by tap in a
convolution), and W_D (mean_D - A mean_K) goes to the constant. Errors of earlier layers are not
seen, so the batch norms' statistics are recomputed afterwards.

Kim, Kim, Park & Jeon (2020), *Neuron Merging*, arXiv:2010.13160, fold a lost filter into its most
similar one; Hassibi & Stork (1993), *Optimal Brain Surgeon*, update all weights that stay by second
moments, as here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, IntArray, Layer
from pruneviz.plan import Plan
from pruneviz.repair.calls import KINDS
from pruneviz.repair.layerwise import LayerRepair
from pruneviz.repair.moments import Moments, Statistics

STRENGTH = 1e-3


def fold(
    model: nn.Module, pruned: nn.Module, graph: ChannelGraph, plan: Plan, seen: Statistics
) -> tuple[LayerRepair, ...]:
    """Fold what the layers of `pruned` no longer read into what they do, in place."""
    whole = dict(model.named_parameters(remove_duplicate=False))
    narrow = dict(pruned.named_parameters(remove_duplicate=False))
    reads = {t.name: t.slots[1] for t in graph.tensors if 1 in t.slots and 1 in t.reads}
    repairs = []
    for layer in graph.layers:
        units = reads.get(layer.weight)
        gone = None if units is None else _gone(units, plan)
        if gone is None or not gone.any():
            repairs.append(LayerRepair(layer.name, False, None, 0.0, 0.0))
            continue
        why = _why_not(layer, seen.moments, narrow)
        if why is not None:
            repairs.append(LayerRepair(layer.name, False, why, 0.0, 0.0))
            continue
        weight = whole[layer.weight].detach().double().cpu()
        weight = weight[torch.from_numpy(np.flatnonzero(plan.kept[layer.units]))]
        repairs.append(_fold(layer, weight, gone, seen, pruned, narrow))
    return tuple(repairs)


def _gone(units: IntArray, plan: Plan) -> np.ndarray:
    return (units >= 0) & ~plan.kept[units]


def _why_not(
    layer: Layer, moments: Mapping[str, Moments], narrow: Mapping[str, Tensor]
) -> str | None:
    if layer.kind not in KINDS:
        return f"{layer.kind} layers are not refitted"
    if layer.conv_groups > 1:
        return "grouped convolutions are refitted by the full repair only"
    if layer.weight not in narrow:
        return "its weight is computed while the network runs"
    if layer.name not in moments:
        return "reads too many channels, or does not run in evaluation mode"
    return None


def _fold(
    layer: Layer,
    weight: Tensor,
    gone: np.ndarray,
    seen: Statistics,
    pruned: nn.Module,
    narrow: Mapping[str, Tensor],
) -> LayerRepair:
    lost = torch.from_numpy(np.flatnonzero(gone))
    stay = torch.from_numpy(np.flatnonzero(~gone))
    moments = seen.moments[layer.name]
    norm = seen.behind.norms.get(layer.name)
    bias = _bias(pruned, layer)
    centred = norm is not None or bias is not None
    matrix = moments.covariance if centred else moments.second
    inner = matrix[stay][:, stay].clone()
    inner.diagonal().add_(STRENGTH * inner.diagonal().mean().clamp_min(1e-30))
    guess = torch.linalg.solve(inner, matrix[stay][:, lost]).T  # A, (|D|, |K|)
    taps = weight.flatten(2) if weight.ndim > 2 else weight.unsqueeze(2)
    change = torch.einsum("odt,dk->okt", taps[:, lost], guess)
    target = narrow[layer.weight]
    target.data.add_(change.reshape(target.shape).to(target))
    if centred:
        missing = moments.mean[lost] - guess @ moments.mean[stay]
        shift = taps[:, lost].sum(2) @ missing
        if bias is not None:
            bias.data.add_(shift.to(bias))
        else:
            mean = pruned.get_buffer(f"{norm}.running_mean")
            mean.sub_(shift.to(mean))
    left = matrix[lost][:, lost] - guess @ matrix[stay][:, lost]
    read = taps[:, lost].sum(2)
    energy = _energy(taps.sum(2), matrix)
    before = _energy(read, matrix[lost][:, lost]) / energy
    return LayerRepair(layer.name, True, None, before, _energy(read, left) / energy)


def _energy(weight: Tensor, matrix: Tensor) -> float:
    """Mean square over filters of what they make of inputs with these second moments."""
    return max(float((weight @ matrix * weight).sum(1).mean()), 1e-30)


def _bias(pruned: nn.Module, layer: Layer) -> Tensor | None:
    module = pruned.get_submodule(layer.name) if layer.name else pruned
    bias = getattr(module, "bias", None)
    return bias if isinstance(bias, Tensor) else None

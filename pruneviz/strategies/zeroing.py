"""Filters set to zero in a network that continues to learn, and what a step says about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan
from pruneviz.strategies.budget import FloatArray
from pruneviz.strategies.details import Zeroing


@torch.no_grad()
def zero_filters(network: nn.Module, graph: ChannelGraph, plan: Plan) -> None:
    """Set weights and biases of the plan's filters to zero, in place; they can learn again."""
    parameters: Mapping[str, nn.Parameter] = dict(network.named_parameters())
    own = {layer.weight for layer in graph.layers}
    own |= {name.removesuffix("weight") + "bias" for name in own}
    for slots in graph.tensors:
        if slots.name not in own or slots.name not in parameters:
            continue
        for dim, units in slots.slots.items():
            gone = np.flatnonzero((units >= 0) & ~plan.kept[units])
            if dim not in slots.reads and gone.size:
                weight = parameters[slots.name]
                weight.index_fill_(dim, torch.from_numpy(gone).to(weight.device), 0)


def filter_norms(network: nn.Module, graph: ChannelGraph) -> dict[str, FloatArray]:
    """Layer -> (filters,) l2 norms; depthwise convolutions, which only pass on, are left out."""
    parameters: Mapping[str, nn.Parameter] = dict(network.named_parameters())
    norms = {}
    for layer in graph.layers:
        weight = parameters.get(layer.weight)
        if layer.prunable and layer.conv_groups == 1 and weight is not None:
            if len(weight) != layer.out_channels:
                continue  # a transposed convolution: its filters lie in another dimension
            norms[layer.name] = weight.detach().flatten(1).norm(dim=1).double().cpu().numpy()
    return norms


def told(norms: Mapping[str, FloatArray], rows: Mapping[str, Sequence[int]]) -> Zeroing:
    """What an event reports: layer -> norms before the zeroing, layer -> filters zeroed."""
    zeroed = []
    for name, own in norms.items():
        zero = np.zeros(len(own), dtype=bool)
        zero[list(rows.get(name, ()))] = True
        zeroed.append(zero)
    return Zeroing(
        layers=tuple(norms),
        widths=tuple(len(own) for own in norms.values()),
        norms=np.concatenate(list(norms.values())),
        zeroed=np.concatenate(zeroed),
    )

"""Stored tensors of a network that shrinks: cut to size, put in place, and laid out as usual."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan


def narrow(
    tensors: Mapping[str, Tensor], graph: ChannelGraph, before: Plan, after: Plan
) -> dict[str, Tensor]:
    """Cut tensors of a network pruned by `before` down to what `after` leaves.

    Args:
        tensors: Parameters, buffers, or an optimiser's averages of them, by parameter name.
        graph: The channels of the original network.
        before: The plan by which the tensors' network has been pruned already.
        after: The plan to prune by; includes all of `before`.
    """
    cut = dict(tensors)
    for slots in graph.tensors:
        tensor = cut.get(slots.name)
        if tensor is None:
            continue
        for dim, units in slots.slots.items():
            there = (units < 0) | before.kept[units]
            stay = np.flatnonzero(((units < 0) | after.kept[units])[there])
            if stay.size < tensor.shape[dim]:
                tensor = tensor.index_select(dim, torch.from_numpy(stay).to(tensor.device))
        cut[slots.name] = tensor
    return cut


@torch.no_grad()
def put(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set all of a network's parameters and buffers to these values.

    Like `load_state_dict`, but without checking the version of the modules, which is not stored
    with the values.
    """
    own = network.state_dict()
    if own.keys() != tensors.keys():
        raise KeyError(sorted(own.keys() ^ tensors.keys()))
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise ValueError(f"{name}: {tuple(tensor.shape)} is not {tuple(tensors[name].shape)}")
        tensor.copy_(tensors[name])


def plain_layout(network: nn.Module) -> None:
    """Give every parameter the layout that a freshly loaded network has.

    A 1×1 convolution's weight looks the same in two layouts, and the layout may decide which kernel
    runs; so that a resumed run computes exactly the same numbers, both begin a stage with the same
    layout.
    """
    for parameter in network.parameters():
        wanted = torch.empty(parameter.shape, device="meta").stride()
        if parameter.stride() != wanted:
            plain = torch.empty(parameter.shape, dtype=parameter.dtype, device=parameter.device)
            parameter.data = plain.copy_(parameter.data)

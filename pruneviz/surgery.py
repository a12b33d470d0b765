"""prune() and mask(): the two ways to carry out a plan.

Both are generic: the graph says which slices of which stored tensors belong to a unit. Pruning
keeps the other slices; masking sets them to zero. Since an activation need not map zero to zero,
masking also zeroes what the unit's consumers read of it, so that both give the same outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.arguments import network
from pruneviz.channels import BoolArray, ChannelGraph, TensorSlots
from pruneviz.errors import PlanError
from pruneviz.inputs import noise
from pruneviz.modes import eval_mode
from pruneviz.plan import Plan, check_plan


def prune(model: nn.Module, graph: ChannelGraph, plan: Plan) -> nn.Module:
    """A new, smaller model without the plan's units; the original is untouched.

    The result is an ordinary module of the same class: it runs, trains and saves. It is run once
    on an empty image to check that.

    Raises:
        PlanError: The plan or the graph belongs to another network, or the network's own code
            relies on sizes that the plan changes.

    Example:
        >>> plan = pv.Plan(graph).drop("layer1.0.conv1", [3, 5])
        >>> pv.prune(model, graph, plan).layer1[0].conv1.weight.shape
        torch.Size([14, 16, 3, 3])
    """
    network(model)
    kept = check_plan(graph, plan).kept

    def narrow(tensor: Tensor, slots: TensorSlots) -> Tensor:
        for dim, units in slots.slots.items():
            stay = np.flatnonzero((units < 0) | kept[units])
            if stay.size < units.size:
                tensor = tensor.index_select(dim, torch.from_numpy(stay).to(tensor.device))
        return tensor

    pruned = _rebuild(model, graph, narrow)
    _set_groups(pruned, graph)
    _set_sizes(pruned, graph, kept)
    for module in pruned.modules():
        refit(module)
    _check_runs(pruned, graph)
    return pruned


def mask(model: nn.Module, graph: ChannelGraph, plan: Plan) -> nn.Module:
    """A new model of the same shape in which the pruned units are zero.

    In eval mode it gives the same outputs as `prune`, except where a normalisation mixes channels
    (LayerNorm, GroupNorm: `group.maskable` is False), where only `prune` is exact.

    Raises:
        PlanError: The plan or the graph belongs to another network.

    Example:
        >>> masked = pv.mask(model, graph, pv.Plan(graph).drop("layer1.0.conv1", [3, 5]))
        >>> masked.layer1[0].conv1.weight.flatten(1).any(1).logical_not().nonzero().flatten()
        tensor([3, 5])
    """
    network(model)
    kept = check_plan(graph, plan).kept

    def silence(tensor: Tensor, slots: TensorSlots) -> Tensor:
        if not slots.is_parameter:
            return tensor
        for dim, units in slots.slots.items():
            if dim in slots.unsilenced:
                continue
            gone = np.flatnonzero((units >= 0) & ~kept[units])
            if gone.size:
                tensor = tensor.index_fill(dim, torch.from_numpy(gone).to(tensor.device), 0)
        return tensor

    return _rebuild(model, graph, silence)


def _rebuild(
    model: nn.Module, graph: ChannelGraph, change: Callable[[Tensor, TensorSlots], Tensor]
) -> nn.Module:
    """A deep copy in which every stored tensor went through `change`; sharing is preserved."""
    memo: dict[int, object] = {}
    for module in model.modules():  # computed by a hook before each pass (weight norm)
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    stored = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for slots in graph.tensors:
        tensor = stored.get(slots.name)
        shape = None if tensor is None else tuple(tensor.shape)
        if tensor is None or shape != slots.shape:
            raise PlanError(
                f"The graph was traced from another network: '{slots.name}' has shape "
                f"{slots.shape} there and {shape or 'no counterpart'} in this model. Trace this "
                "model first."
            )
        if not slots.slots:
            continue
        changed = change(tensor.detach(), slots)
        if changed.data_ptr() == tensor.data_ptr():
            continue
        if isinstance(tensor, nn.Parameter):
            changed = nn.Parameter(changed, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = changed
    return copy.deepcopy(model, memo)


def refit(module: nn.Module) -> None:
    """Make a module's size attributes say what its tensors are."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.modules.batchnorm._NormBase):
        own = weight if isinstance(weight, Tensor) else module.running_mean
        if own is not None:
            module.num_features = own.shape[0]
    elif not isinstance(weight, Tensor):
        return
    elif isinstance(module, nn.modules.conv._ConvNd):
        first, second = weight.shape[0], weight.shape[1] * module.groups
        entering, leaving = (first, second) if module.transposed else (second, first)
        module.in_channels, module.out_channels = entering, leaving
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = weight.shape[0]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = weight.numel()
    elif hasattr(module, "normalized_shape"):
        setattr(module, "normalized_shape", tuple(weight.shape))  # noqa: B010 - no one base class


def _set_groups(pruned: nn.Module, graph: ChannelGraph) -> None:
    """Grouped convolutions and group norms that lost whole groups have fewer groups."""
    stored = dict(pruned.named_parameters(remove_duplicate=False))
    shapes = {slots.name: slots.shape for slots in graph.tensors}
    for whole in graph.whole_groups:
        module: Any = pruned.get_submodule(whole.module)
        left = stored[whole.tensor].shape[0]
        groups = whole.groups * left // shapes[whole.tensor][0]
        setattr(module, "num_groups" if isinstance(module, nn.GroupNorm) else "groups", groups)


def _set_sizes(pruned: nn.Module, graph: ChannelGraph, kept: BoolArray) -> None:
    """Numbers of channels in the modules' own attributes follow."""
    for size in graph.sizes:
        own = vars(pruned.get_submodule(size.module))
        left = int(((size.units < 0) | kept[size.units]).sum())
        if size.index is None:
            own[size.attribute] = left
        else:
            listed = list(own[size.attribute])
            listed[size.index] = left
            own[size.attribute] = type(own[size.attribute])(listed)


def _check_runs(pruned: nn.Module, graph: ChannelGraph) -> None:
    """Never return a broken model: sizes written into a network's code show up here."""
    try:
        with torch.no_grad(), eval_mode(pruned):
            positions, named = noise(graph, pruned)
            pruned(*positions, **named)
    except Exception as error:
        raise PlanError(
            f"The code of {type(pruned).__name__} relies on sizes that this plan changes "
            f"({type(error).__name__}: {error}). Make it read these sizes from its tensors, then "
            "trace again."
        ) from error

"""Soft pruning by a rate, to the letter: every convolution has this share of its filters zeroed.

After the public code of He et al. 2018 (github.com/he-y/soft-filter-pruning): each convolution, the
stem and those that add to a residual stream included, chooses its own filters of smallest norm,
`int(width * rate)` of them. Channels that only one convolution writes to can be removed by a plan;
in a stream, to which others write as well, zeros stay, and `narrow_branches` removes the filters
that made them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph, Group
from pruneviz.plan import Plan
from pruneviz.strategies.branches import convolutions, inputs_read, norms_after


def whole_filters(width: int, rate: float) -> int:
    """How many of a convolution's filters a rate zeroes: rounded down, and at least one stays."""
    return min(int(width * rate + 1e-9), width - 1)


def smallest(network: nn.Module, rate: float, order: float) -> dict[str, list[int]]:
    """Convolution -> its filters of smallest l1 (`order` 1) or l2 (2) norm, at this rate."""
    chosen = {}
    for name, convolution in convolutions(network).items():
        norms = convolution.weight.detach().flatten(1).norm(order, dim=1)
        count = whole_filters(len(norms), rate)
        chosen[name] = sorted(norms.argsort(stable=True)[:count].tolist())
    return chosen


@torch.no_grad()
def zero_rows(module: nn.Module, rows: Sequence[int]) -> None:
    """Set these filters (or channels of a batch norm) to zero, weight and bias, in place."""
    for parameter in module.parameters(recurse=False):
        parameter[list(rows)] = 0


def zeroed(network: nn.Module) -> dict[str, list[int]]:
    """Convolution -> its filters that are zero, weight and bias."""
    return {name: _zero(module) for name, module in convolutions(network).items()}


def silence(network: nn.Module, input_shape: Sequence[int]) -> None:
    """Make the batch norms after zeroed filters output zeros as well, in place.

    Otherwise they pass on an offset, which a network without these filters lacks.
    """
    norms = norms_after(network, input_shape)
    for name, rows in zeroed(network).items():
        if rows and name in norms:
            zero_rows(network.get_submodule(norms[name]), rows)


def removable(graph: ChannelGraph, rows: Mapping[str, Sequence[int]]) -> Plan:
    """The plan of those zeroed filters whose channels no other layer writes to."""
    plan = Plan(graph)
    for group in graph.prunable_groups:
        made = producers(graph, group)
        if len(made) == 1 and made[0] in rows:
            plan = plan.drop(made[0], rows[made[0]])
    return plan


def producers(graph: ChannelGraph, group: Group) -> list[str]:
    """The group's layers that produce its channels; depthwise convolutions only pass them on."""
    return [name for name in group.layers if graph.layer(name).conv_groups == 1]


@contextmanager
def held_at_zero(network: nn.Module, hold: bool = True) -> Iterator[None]:
    """In this context, filters that are zero get no gradient (hard instead of soft)."""
    handles: list[Any] = []
    for module in network.modules() if hold else ():
        own = list(module.parameters(recurse=False))
        if not own or not isinstance(module, nn.Conv2d | nn.modules.batchnorm._BatchNorm):
            continue
        moving = torch.ones(len(own[0]), device=own[0].device)
        moving[_zero(module)] = 0
        for parameter in own:
            hook = parameter.register_hook(_only(moving))  # type: ignore[no-untyped-call]
            handles.append(hook)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _only(moving: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * moving.view(-1, *[1] * (gradient.ndim - 1))


def _zero(module: nn.Module) -> list[int]:
    parts: Iterable[Tensor] = (
        p.detach().flatten(1) if p.ndim > 1 else p.detach().unsqueeze(1)
        for p in module.parameters(recurse=False)
    )
    used = torch.stack([part.ne(0).any(1) for part in parts]).any(0)
    return (~used).nonzero().flatten().tolist()


def nominal_macs(network: nn.Module, input_shape: Sequence[int], rate: float) -> float:
    """MACs at a rate as the paper counts them: every width a fraction, not a number of filters.

    A convolution of M multiply-adds costs (1 - rate)^2 M if everything it reads comes from one
    convolution, and (1 - rate) M if it reads the image or a stream that several add to. On
    ResNet-20 at 30 % that is 42.2 % less, as in table 1; whole filters (12, 23 and 45 of 16, 32 and
    64) give 39.0 %.
    """
    from pruneviz.cost import cost
    from pruneviz.trace import trace

    graph = trace(network, input_shape)
    whole = cost(graph).macs
    own = {name: graph.layer(name).macs for name in convolutions(network)}
    norms = norms_after(network, input_shape)
    offsets = copy.deepcopy(network)  # with an offset everywhere, only what reads from the zeroed
    with torch.no_grad():  # filters themselves reads nothing but zeros, and not all that follows
        for module in offsets.modules():
            if isinstance(getattr(module, "bias", None), Tensor):
                module.bias.fill_(1)  # type: ignore[operator]
    narrow: set[str] = set()
    for name in own:
        probe = copy.deepcopy(offsets)
        for silent in filter(None, (name, norms.get(name))):
            zero_rows(probe.get_submodule(silent), range(convolutions(probe)[name].out_channels))
        read = inputs_read(probe, input_shape)
        narrow |= {reader for reader, channels in read.items() if not channels.size}
    left = {name: (1 - rate) ** (2 if name in narrow else 1) * macs for name, macs in own.items()}
    return whole - sum(own.values()) + sum(left.values())

"""Weights that are computed while the network runs: weight norm, spectral norm, standardisation.

What is computed from stored tensors alone, never from the image, is a *computed weight*. Channels
lie along several of its dimensions at once (filters along one, what they read along another), so
it has an `Aspect` for each: a shadow that follows one of them. Units are removed from the stored
parts, and the network computes its weight from what is left.

Masking zeroes the stored parts. Where that does not give a weight of zeros (a mean over what a
filter reads, say), the channels read are noted as unmaskable, as for a normalisation of
activations across channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pruneviz.channels import IntArray
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call
from pruneviz.trace.shadows import along, core, tidy, varying

Slot = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Aspect:
    """One way in which channels lie in a computed weight."""

    shadow: Tensor
    zeroed_by: frozenset[Slot]
    """Stored slices of which each, where it is zero, makes the weight's slice zero."""

    @property
    def atoms(self) -> IntArray:
        """The channels, each once."""
        atoms: IntArray = np.unique(core(self.shadow).numpy())
        return atoms

    def like(self, shadow: Tensor) -> Aspect:
        """The same channels elsewhere."""
        return Aspect(tidy(shadow), self.zeroed_by)


@dataclass(frozen=True, eq=False)
class Computed:
    """What is known of a weight: how channels lie in it, and the stored tensors it is made of."""

    aspects: tuple[Aspect, ...]
    sources: tuple[str, ...]
    obstacle: str | None = None
    """The operation that could not be followed; then no channel of it can go."""


class NotFollowed(Exception):  # noqa: N818 - `follow` catches it
    """An operation on a weight that is not in the table, or not in this form."""


def computed(flow: Flow, tensor: object) -> Computed | None:
    """What is known of a tensor that is a stored weight, or was computed from stored ones."""
    if not isinstance(tensor, Tensor):
        return None
    known: Computed | None = flow.computed.get(tensor)
    name = flow.name(tensor)
    if known is not None or tensor.numel() < 2:
        return known
    if name is None:
        shadow = None if flow.is_live(tensor) else flow.shadow(tensor)
        return None if shadow is None else Computed((Aspect(shadow, frozenset()),), ())
    learned = name in flow.parameters  # masking leaves buffers alone
    dims = (0, 1) if tensor.ndim > 1 else (0,)  # a kernel's rows and columns are no channels
    aspects = [
        Aspect(along(flow.slot(name, d), tensor.shape, d), frozenset([(name, d)] * learned))
        for d in dims
        if tensor.shape[d] > 1
    ]
    return Computed(tuple(aspects), (name,))


def concerns(flow: Flow, inputs: Iterable[Tensor]) -> bool:
    """Whether a call computes a weight: from stored tensors, one of which is no mere vector."""
    inputs = list(inputs)
    return any(t in flow.computed or (flow.name(t) is not None and t.ndim > 1) for t in inputs)


def follow(flow: Flow, call: Call) -> None:
    """Carry the aspects through one call."""
    known = [computed(flow, t) for t in call.inputs]
    sources = tuple(dict.fromkeys(s for k in known if k is not None for s in k.sources))
    obstacle = next((k.obstacle for k in known if k is not None and k.obstacle), None)
    made: list[list[Aspect]] = [[] for _ in call.outputs]
    if obstacle is None:
        try:
            if call.name not in RULES:
                raise NotFollowed
            result = RULES[call.name](flow, call, _inputs(known))
            made = [result] * len(call.outputs)
        except NotFollowed:
            obstacle = call.full
            _fix(flow, known, f"its weight is computed by {obstacle}, which cannot be followed")
    else:
        _fix(flow, known, f"its weight is computed by {obstacle}, which cannot be followed")
    for out, aspects in zip(call.outputs, made, strict=True):
        if flow.name(out) is None:
            shown = tuple(Aspect(a.shadow.expand(out.shape), a.zeroed_by) for a in aspects)
            flow.computed[out] = Computed(shown, sources, obstacle)
            flow.set_shadow(out, shown[0].shadow if len(shown) == 1 else None)


def sizes_depend(flow: Flow, tensor: Tensor) -> None:
    """The number of a weight's elements is asked for: a masked network has all of them still."""
    known = computed(flow, tensor)
    if known is not None and not flow.is_live(tensor):
        flow.unmaskable += [a.atoms for a in known.aspects]


Inputs = list[tuple[Aspect, ...]]
Rule = Callable[[Flow, Call, Inputs], list[Aspect]]
RULES: dict[str, Rule] = {}
"""Operation -> what it does to the aspects of its inputs; see `pruneviz.trace.computed_rules`."""


def rule(names: str | Iterable[str]) -> Callable[[Rule], Rule]:
    """Register a rule for the operations of these names."""

    def register(function: Rule) -> Rule:
        for name in names.split() if isinstance(names, str) else names:
            RULES[name] = function
        return function

    return register


def _inputs(known: list[Computed | None]) -> Inputs:
    return [() if k is None else k.aspects for k in known]


def _fix(flow: Flow, known: Iterable[Computed | None], reason: str) -> None:
    for k in known:
        for aspect in () if k is None else k.aspects:
            flow.fix(aspect.atoms, reason)


def weight_name(flow: Flow, known: Computed, weight: Tensor) -> str | None:
    """The stored tensor that a computed weight stands for: one of its shape, or of its size."""
    same = [s for s in known.sources if flow.tensors[s].shape == weight.shape]
    sized = [s for s in known.sources if flow.tensors[s].numel() == weight.numel()]
    return next(iter([*same, *sized]), None)


def lies_along(known: Computed, dim: int) -> Aspect | None:
    """The aspect whose channels lie along one dimension of a weight, and along no other."""
    matching = [a for a in known.aspects if varying(a.shadow) == [dim]]
    return matching[0] if len(matching) == 1 else None

"""How much each layer's weights change from step to step, while a network shrinks and learns."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan
from pruneviz.strategies.tensors import narrow
from pruneviz.training.step import snapshot


class Movement:
    """Compares a network's weights with those of the step before, filter by filter.

    Args:
        graph: The channels of the unpruned network.
        weights: The tensors to begin with, by name.
        removed: What has been removed from their network.
    """

    def __init__(self, graph: ChannelGraph, weights: Mapping[str, Tensor], removed: Plan) -> None:
        self._graph = graph
        self._names = [layer.weight for layer in graph.layers]
        self._before = self._own(weights), removed

    def to(self, weights: Mapping[str, Tensor], removed: Plan) -> tuple[float | None, ...]:
        """How much each layer has changed since the last call, ``||w - w0|| / ||w0||``.

        Only weights that are in both networks count, so that a removal alone changes nothing; to
        five decimals. None for a layer without weights of its own, or whose change is not finite;
        for all of them where removed units have come back.

        Args:
            weights: The network's tensors now.
            removed: What has been removed from it.
        """
        now, (before, earlier) = self._own(weights), self._before
        self._before = now, removed
        if not set(earlier.dropped) <= set(removed.dropped):
            return (None,) * len(self._names)
        if removed != earlier:
            before = narrow(before, self._graph, earlier, removed)
        return tuple(_changed(now.get(name), before.get(name)) for name in self._names)

    def _own(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own: dict[str, Tensor] = snapshot({n: weights[n] for n in self._names if n in weights})
        return own


def _changed(now: Tensor | None, before: Tensor | None) -> float | None:
    if now is None or before is None or now.shape != before.shape:
        return None
    start = before.float()
    length = float(torch.linalg.vector_norm(start))
    way = float(torch.linalg.vector_norm(now.float() - start))
    ratio = way / length if length else math.nan
    return round(ratio, 5) if math.isfinite(ratio) else None

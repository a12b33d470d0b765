"""The weights that a network really applies, where it computes them while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.inputs import noise
from pruneviz.modes import eval_mode
from pruneviz.torch_calls import CallWatcher


def applied_weights(model: nn.Module, graph: ChannelGraph) -> dict[str, Tensor]:
    """The weight of each layer whose weight is computed (`Layer.computed`), by layer name.

    The network is run once in eval mode; empty, without a run, where all weights are stored.
    """
    wanted = {layer.called_at: layer.name for layer in graph.layers if layer.computed}
    if not wanted:
        return {}
    with eval_mode(model), torch.no_grad():
        arguments, named = noise(graph, model)
        with _Weights(wanted) as watcher:
            model(*arguments, **named)
    return watcher.weights


class _Weights(CallWatcher):
    """Keeps the weights that some calls apply; `wanted` maps a call's number to its layer."""

    def __init__(self, wanted: Mapping[int, str]) -> None:
        super().__init__()
        self._wanted = wanted
        self.weights: dict[str, Tensor] = {}

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.index in self._wanted:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            self.weights[self._wanted[self.index]] = weight.detach()
        return func(*args, **kwargs)

"""The weights that a network really applies, where it computes them while it runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruneviz.channels import ChannelGraph
from pruneviz.inputs import noise
from pruneviz.modes import eval_mode


def applied_weights(model: nn.Module, graph: ChannelGraph) -> dict[str, Tensor]:
    """The weight of each layer whose weight is computed (`Layer.computed`), by layer name.

    The network is run once in eval mode; empty, without a run, where all weights are stored.
    """
    wanted = {layer.called_at: layer.name for layer in graph.layers if layer.computed}
    if not wanted:
        return {}
    weights: dict[str, Tensor] = {}

    class Capture(TorchFunctionMode):
        calls = -1

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            self.calls += 1
            if self.calls in wanted:
                weight = args[1] if len(args) > 1 else (kwargs or {})["weight"]
                weights[wanted[self.calls]] = weight.detach()
            return func(*args, **(kwargs or {}))

    with eval_mode(model), torch.no_grad():
        arguments, named = noise(graph, model)
        with Capture():
            model(*arguments, **named)
    return weights

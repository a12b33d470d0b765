"""The network that a strategy prunes step by step.

It is the original network without the units removed so far, with the current weights. Units that
the plan prunes beyond these are still in it, zeroed or not, and are left out of measurements.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.repair import repair as repaired
from pruneviz.strategies.budget import FloatArray
from pruneviz.strategies.tensors import narrow, plain_layout, put
from pruneviz.surgery import mask, prune
from pruneviz.trace import trace
from pruneviz.training import Evaluation, default_device, evaluate
from pruneviz.training.step import snapshot


class WorkingNetwork:
    """A copy of a network that shrinks, trains and is measured; the original does not change."""

    def __init__(self, model: nn.Module, graph: ChannelGraph, data: DataSet, seed: int) -> None:
        self.model = model
        self.graph = graph
        self.data = data
        self.seed = seed
        self.device = default_device()
        first = next(model.parameters(), None)
        if first is None:
            raise InvalidValueError("The network has no weights, so there is nothing to prune.")
        self.home = first.device
        self.plan = Plan(graph)
        """What the events report as pruned."""
        self.removed = Plan(graph)
        """What is physically gone from `network`."""
        self.network = copy.deepcopy(model).to(self.device)

    def seed_of(self, stage: str, *parts: int) -> int:
        """A seed for a stage."""
        mixed = self.seed
        for part in (zlib.crc32(stage.encode()), *parts):
            mixed = (mixed * 1_000_003 + part) % (2**31)
        return mixed

    def shrink(self, plan: Plan, *, repair: bool = False) -> None:
        """Physically remove what the plan prunes; the weights that stay do not change.

        With `repair`, they are refitted to the network's previous outputs.
        """
        if repair and len(plan) > len(self.removed):
            state = self._repaired(plan)
        else:
            state = narrow(self.network.state_dict(), self.graph, self.removed, plan)
        self.network = prune(self.model, self.graph, plan).to(self.device)
        put(self.network, state)
        self.network.eval()
        self.plan = self.removed = plan

    def _repaired(self, plan: Plan) -> dict[str, torch.Tensor]:
        """The current network's weights after pruning by the plan and a repair."""
        network = copy.deepcopy(self.network)  # which may be in the middle of its training
        plain_layout(network)
        graph, further = self.graph, plan
        if len(self.removed):
            graph = trace(network, self.graph.input_shape)
            further = Plan(graph)
            for layer in self.graph.layers:
                there = layer.units[self.removed.kept[layer.units]]
                gone = graph.layer(layer.name).units[~plan.kept[there]]
                further = further.drop_units(gone.tolist())
        return repaired(network, graph, further, self.data, seed=self.seed).state_dict()

    def load(self, plan: Plan, state: Mapping[str, Any]) -> None:
        """Continue with the network that the plan leaves, with these weights."""
        network = prune(self.model, self.graph, plan) if len(plan) else copy.deepcopy(self.model)
        put(network, state)
        self.network = network.to(self.device)
        self.plan = self.removed = plan

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the network's weights, on the CPU."""
        weights: dict[str, torch.Tensor] = snapshot(self.network.state_dict())
        return weights

    def evaluate(self, split: str = "val", limit: int | None = None) -> Evaluation:
        """Measure the network without what the plan prunes."""
        network = self.network
        if len(self.plan) > len(self.removed):
            assert not len(self.removed)
            cut = mask if self.graph.maskable else prune
            network = cut(self.network, self.graph, self.plan)
        return evaluate(network, self.data, split=split, limit=limit)

    def rank(self, criterion: str, stage: str, *, comparable: bool) -> FloatArray:
        """(num_units,) scores of the original network's units, nan for those that are gone.

        The current network is ranked; with `comparable`, scores are made comparable over groups.
        """
        if criterion == "random":
            generator = np.random.default_rng(self.seed_of(stage))
            return generator.random(self.graph.num_units)
        from pruneviz.criteria import rank

        network = copy.deepcopy(self.network)  # which may be in the middle of its training
        plain_layout(network)
        graph = self.graph
        if len(self.removed):
            graph = trace(network, self.graph.input_shape)
        seed = self.seed_of(stage)
        ranking = rank(network, graph, self.data, criteria=[criterion], seed=seed)
        ranked = ranking.comparable(criterion) if comparable else ranking.of(criterion)
        if graph is self.graph:
            return np.asarray(ranked, dtype=np.float64)
        scores = np.full(self.graph.num_units, np.nan)
        kept = self.removed.kept
        for layer in self.graph.layers:
            stay = layer.units[kept[layer.units]]
            scores[stay] = ranked[graph.layer(layer.name).units]
        return scores

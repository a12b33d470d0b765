"""Weights that are neither bundled nor files: `kind:reference`, resolved by the module for that
kind.

The catalogue knows nothing about runs; the modules that do are named here, not imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

RESOLVERS = {"run": "pruneviz.jobs.run_weights", "own": "pruneviz.catalog.own"}
"""By kind: the module whose `load(reference, network)` gives the network with its weights, and
whose `plans(reference)` those by which it was pruned."""


def is_elsewhere(weights: object) -> bool:
    """Whether weights have such a reference, like `run:3f2a`."""
    return isinstance(weights, str) and weights.partition(":")[0] in RESOLVERS and ":" in weights


def load(weights: str, network: str) -> nn.Module:
    """Return the network called `network` with those weights."""
    kind, _, reference = weights.partition(":")
    model: nn.Module = importlib.import_module(RESOLVERS[kind]).load(reference, network)
    return model


def plans(weights: object) -> tuple[str, ...]:
    """Return the plans (JSON), oldest first, by which the network with those weights was pruned."""
    if not is_elsewhere(weights):
        return ()
    kind, _, reference = str(weights).partition(":")
    texts: tuple[str, ...] = importlib.import_module(RESOLVERS[kind]).plans(reference)
    return texts

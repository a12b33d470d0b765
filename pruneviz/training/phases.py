"""The two phases of training a new classifier: first it learns alone, then all layers do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from pruneviz.catalog.heads import classifier_names
from pruneviz.training.settings import Settings, learning_rate


def is_head(settings: Settings, epoch: int) -> bool:
    """Whether the classifier learns alone in this epoch (from 0)."""
    return epoch < settings.head_epochs


def rate_at(settings: Settings, position: float) -> float:
    """The learning rate at a position in epochs (2.5: in the middle of the third).

    Each part follows the schedule by itself.
    """
    if position < settings.head_epochs:
        return learning_rate(settings, position / settings.head_epochs, head=True)
    rest = settings.epochs - settings.head_epochs
    return learning_rate(settings, (position - settings.head_epochs) / max(1, rest))


@contextmanager
def training_mode(model: nn.Module, *, head: bool) -> Iterator[None]:
    """Put the network in training mode; with `head`, its classifier alone.

    The rest then works as in evaluation and keeps its weights, statistics of batch norms included.
    """
    model.train()
    if not head:
        yield
        return
    own = [model.get_submodule(name) for name in classifier_names(model)]
    learning = {id(p) for part in own for p in part.parameters()}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in learning]
    for module in model.modules():
        if any(True for _ in module.parameters(recurse=False)) and module not in own:
            module.eval()  # batch norms; dropout, which has no weights, stays on
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)

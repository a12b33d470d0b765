"""Single mini-batch updates, for strategies that change the network between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pruneviz.data import DataSet, chunks
from pruneviz.errors import TrainingError
from pruneviz.outputs import heads


class BatchStream:
    """Endless mini-batches, pass after pass; `drawn` is the position to continue from."""

    def __init__(
        self, data: DataSet, batch_size: int, seed: int, device: torch.device, drawn: int = 0
    ) -> None:
        self._data = data
        self._size = batch_size
        self._seed = seed
        self._device = device
        self._each = len(chunks(len(data.train), batch_size))
        self.drawn = drawn
        self._batches = self._from(drawn)

    def _from(self, drawn: int) -> Iterator[tuple[Tensor, Tensor]]:
        number, skip = divmod(drawn, self._each)
        while True:
            seed = (self._seed * 1_000_003 + number) % (2**31)
            batches = self._data.train.batches(
                self._size, shuffle_seed=seed, augment=self._data.augment, device=self._device
            )
            for index, batch in enumerate(batches):
                if index >= skip:
                    yield batch
            number, skip = number + 1, 0

    def next(self) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W) and labels (B,)."""
        self.drawn += 1
        return next(self._batches)


def sgd(
    network: nn.Module,
    lr: float,
    momentum: float,
    weight_decay: float,
    averages: Mapping[str, Tensor],
) -> torch.optim.SGD:
    """SGD with momentum that continues from averages of the gradients, by parameter name."""
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad],
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
    )
    for name, parameter in network.named_parameters():
        if name in averages:
            average = averages[name].to(parameter.device)
            optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(
                average
            )
    return optimizer


def averages_of(network: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """The optimiser's averages of the gradients, by parameter name."""
    averages = {}
    for name, parameter in network.named_parameters():
        average: Any = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if average is not None:
            averages[name] = average
    return averages


def update(
    network: nn.Module,
    optimizer: torch.optim.SGD,
    x: Tensor,
    y: Tensor,
    seed: int,
    watch: AbstractContextManager[Any] | None = None,
) -> float:
    """One step on one mini-batch, in training mode; the loss before it.

    Dropout draws from the seed; the caller's random state does not change. `watch` is entered for
    the forward pass.
    """
    network.train()
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        x = x.contiguous(memory_format=torch.channels_last)
        with watch if watch is not None else nullcontext():  # which counts the network's own calls
            output = network(x)
        logits = heads(output)
        loss = cross_entropy(logits[0], y)
        for auxiliary in logits[1:]:
            loss = loss + 0.3 * cross_entropy(auxiliary, y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    value = loss.item()
    if value != value:
        raise TrainingError(
            "The loss must stay finite, but is NaN after an update between two removals; lower "
            "update_lr."
        )
    return value

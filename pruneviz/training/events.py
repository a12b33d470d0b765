"""What training reports: one event an epoch, on request one a mini-batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class BatchEvent:
    """One training step is done: ``step`` of ``steps`` in ``epoch`` (both from 1), its loss.

    ``accuracy`` (0..1) is that of the mini-batch, as it was before the step: of a network that is
    training, on images that may be augmented. With a task it is nan.

    ``message`` says at the first step after it that the epoch was begun again at a lower rate.
    Until the next one, ``state()`` makes what `fine_tune` needs to continue after this batch; a run
    that has to stop in the middle of a long epoch asks for it.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float
    state: Callable[[], dict[str, Any]] = field(repr=False, compare=False)
    message: str = ""


@dataclass(frozen=True, eq=False)
class EpochEvent:
    """One epoch is done: training loss, validation accuracy (0..1) and loss, seconds it took.

    ``message`` says what a user should know, such as that the epoch was restarted at a lower
    learning rate; empty otherwise. ``state`` holds all that `fine_tune` needs
    to continue after this epoch; it can be written with ``torch.save`` and read with
    ``weights_only=True``.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    lr: float
    seconds: float
    state: dict[str, Any] = field(repr=False)
    message: str = ""
    predictions: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    """The class that each validation image is taken for now, int64 (images,)."""

"""One pass in PyTorch, operation by operation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def passes(model: nn.Module, images: Tensor, threads: int) -> Callable[[], None]:
    """The pass as a call; torch's own number of threads holds."""

    def once() -> None:
        model(images)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)

    return once

"""A network that another one learns from: its outputs for every training image."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pruneviz.data import DataSet, ImageSet
from pruneviz.training.evaluation import channels_last, logits_for
from pruneviz.training.settings import Settings

HELD_BYTES = 2**30
"""Outputs for all images are held up to this size; larger ones are computed batch by batch."""
BATCH = 256


class Teacher:
    """A frozen copy of a network: what becomes of the original does not matter.

    Where images are always seen as they are, each is looked at once, in an order of its own, so
    that a resumed run reads the very same outputs. Where they are augmented, every batch is.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DataSet,
        images: ImageSet,
        settings: Settings,
        device: torch.device,
    ) -> None:
        self._data, self._settings = data, settings
        self._network = copy.deepcopy(model).to(device).to(memory_format=torch.channels_last).eval()
        self._held: Tensor | None = None
        if settings.augment is None and 4 * len(images) * len(data.classes) <= HELD_BYTES:
            batches = images.batches(BATCH, device=device)
            self._held = torch.cat([self._look(channels_last(x)) for x, _ in batches])

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        """Logits (B, K), float32, for normalised images (B, C, H, W) with these numbers (B,)."""
        return self._look(x) if self._held is None else self._held[rows]

    def _look(self, x: Tensor) -> Tensor:
        mixed = self._settings.mixed_precision
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=mixed):
            output = self._network(x)
        return logits_for(self._data, output, "teacher").float()

"""`torch.export` programs (.pt2), which any PyTorch loads without the network's code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.errors import ExportError
from pruneviz.export.onnx import cause_of, quiet
from pruneviz.outputs import logits

ANY_BATCH, ONE_IMAGE = "batch of any size", "one image at a time"


class Logits(nn.Module):
    """A network that returns its logits alone, whatever else it returned."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        scores: Tensor = logits(self.network(images))
        return scores


def exported_program(
    network: nn.Module, images: Tensor
) -> tuple[torch.export.ExportedProgram, str]:
    """Export a network with a batch of any size, if it allows that; and a note that says so.

    Raises `ExportError` where torch cannot export an operation; it is named.
    """
    shapes: Any = ({0: torch.export.Dim("batch", min=1)},)
    with quiet():
        try:
            return torch.export.export(network, (images,), dynamic_shapes=shapes), ANY_BATCH
        except Exception:
            try:
                return torch.export.export(network, (images[:1],)), ONE_IMAGE
            except Exception as error:
                raise ExportError(
                    f"torch.export cannot export this network: {cause_of(error)}. Replace that "
                    "operation, or use another format."
                ) from error

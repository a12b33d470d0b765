"""What names a network's weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def digest_weights(model: nn.Module, prefix: str = "") -> str:
    """SHA-256 (first 16 hex digits) over the names, shapes and values of all stored tensors."""
    text = hashlib.sha256(prefix.encode())
    for name, tensor in model.state_dict().items():
        text.update(f"{name}{tuple(tensor.shape)}".encode())
        values = tensor.detach().cpu().contiguous()
        text.update(
            values.reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b""
        )
    return text.hexdigest()[:16]

"""What these tests are made of."""

from __future__ import annotations

import hashlib
import io

import torch

from pruneviz.catalog import load_model


def saved_resnet20(folder, name=None) -> str:
    state = {f"module.{k}": v for k, v in load_model("resnet20").state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"state_dict": state, "best_prec1": 91.0}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    name = name or f"resnet20-{digest}.th"
    (folder / name).write_bytes(buffer.getvalue())
    return name

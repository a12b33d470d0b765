"""One training step, everything random in it drawn from a seed of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pruneviz.data import DataSet
from pruneviz.outputs import heads
from pruneviz.training.evaluation import logits_for
from pruneviz.training.losses import total_loss
from pruneviz.training.settings import Settings
from pruneviz.training.task import Task


def step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    taught: torch.Tensor | None,
    data: DataSet,
    settings: Settings,
    task: Task | None = None,
) -> tuple[float, float]:
    """One optimiser step on the labels and a teacher's outputs.

    Returns the loss before it, and the share (0..1) of the batch that was right; nan with a task.
    """
    with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.mixed_precision):
        output = model(x)
    outputs = heads(output)
    if task is None:
        logits_for(data, outputs[0])
        loss = total_loss(outputs, y, taught, settings)
    else:
        loss = task.loss_of(outputs[0], y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    if math.isfinite(settings.clip):
        learning = [p for p in model.parameters() if p.requires_grad]
        nn.utils.clip_grad_norm_(learning, settings.clip)
    optimizer.step()
    right = math.nan if task is not None else (outputs[0].argmax(1) == y).float().mean().item()
    return loss.item(), right


def seed_of(*parts: int) -> int:
    """One seed from several numbers."""
    mixed = 0
    for part in parts:
        mixed = (mixed * 1_000_003 + part) % (2**63)
    return mixed


@contextmanager
def own_random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Seed what dropout draws from, and put the caller's random state back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def snapshot(value: Any) -> Any:
    """A copy on the CPU of every tensor in nested dicts and lists, layouts kept."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    return value

"""Top-1 accuracy and loss of a network on a split."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pruneviz.arguments import network, whole
from pruneviz.bars import Progress, bar
from pruneviz.data import DataSet, check_data
from pruneviz.evaluation import Evaluation
from pruneviz.modes import eval_mode
from pruneviz.outputs import class_logits
from pruneviz.training.task import Task, evaluate_task


def evaluate(
    model: nn.Module,
    data: DataSet,
    *,
    split: str = "val",
    batch_size: int = 256,
    limit: int | None = None,
    task: Task | None = None,
    progress: Progress = None,
) -> Evaluation:
    """Measure a network on a split, in eval mode; the mode it was in is restored.

    ``accuracy = correct / N``; ``loss`` is the mean cross-entropy. Memory is bounded by one batch
    of images (B, C, H, W). With ``limit``, only that many images are used, balanced over the
    classes and always the same ones. Raises `DataError` where the split is absent or empty, or
    where the images have classes that the network has no output for; `InvalidValueError` for
    numbers below 1. With a ``task`` the accuracy is its metric, the loss its loss. ``progress`` is
    called with the images done and their number; False for no bar.

    Example:
        >>> pv.evaluate(model, data).accuracy > 0.9
        True
    """
    network(model)
    images = check_data(data).split(split)
    whole("batch_size", batch_size)
    if limit is not None:
        images = images.first(limit)
    if task is not None:
        return evaluate_task(model, data, images, task, batch_size, progress)
    device = device_of(model)
    loss = 0.0
    predicted: list[torch.Tensor] = []
    seen_images = 0
    with eval_mode(model), torch.no_grad(), bar("Evaluating", progress) as tick:
        for x, y in images.batches(batch_size, device=device):
            logits = logits_for(data, model(channels_last(x)))
            loss += cross_entropy(logits.float(), y, reduction="sum").item()
            predicted.append(logits.argmax(1).cpu())
            seen_images += len(y)
            tick(seen_images, len(images))
    predictions = torch.cat(predicted)
    hit = predictions == images.labels
    seen = torch.bincount(images.labels, minlength=len(data.classes))
    right = torch.bincount(images.labels[hit], minlength=len(data.classes))
    return Evaluation(
        accuracy=int(hit.sum()) / len(images),
        loss=loss / len(images),
        per_class=tuple((right / seen.to(torch.float64)).tolist()),
        count=len(images),
        classes=data.classes,
        predictions=predictions.numpy(),
    )


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter of a network lies."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """The layout in which convolutions are fastest; the values are the same."""
    return x.contiguous(memory_format=torch.channels_last)


def logits_for(data: DataSet, output: Any, network: str = "network") -> torch.Tensor:
    """(N, K) logits, a column for each class of the data. Raises `DataError` for anything else."""
    return class_logits(output, len(data.classes), exact=True, data=data.name, network=network)

"""What a network is trained for and judged by, where that is not telling classes apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pruneviz.bars import Progress, bar
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import InvalidValueError
from pruneviz.evaluation import Evaluation
from pruneviz.modes import eval_mode
from pruneviz.outputs import logits as main_output


@dataclass(frozen=True)
class Task:
    """Your own loss and metric, for `evaluate`, `sensitivity` and `fine_tune`.

    Labels are what the data set holds: int64 of shape (N,), or one mask per image, (N, H, W).

    Attributes:
        loss: Takes outputs (B, ...) and labels (B, ...); gives the batch's mean loss, a scalar.
        metric: Takes all outputs (N, ...) and labels of a split, on the processor; gives a number
            0..1, where higher is better.
        name: The metric's name.

    Example:
        >>> import torch
        >>> from pruneviz.data import DataSet, ImageSet
        >>> from pruneviz.training import mean_iou
        >>> task = pv.Task(torch.nn.functional.cross_entropy, mean_iou, "mIoU")
        >>> images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
        >>> part = ImageSet(images, torch.zeros(4, 8, 8, dtype=torch.int64))  # one mask an image
        >>> blank = DataSet("blank", part, part, None, ("ground", "line"), (3, 8, 8), {})
        >>> pv.evaluate(torch.nn.Conv2d(3, 2, 1), blank, task=task).measure
        'mIoU'
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    metric: Callable[[Tensor, Tensor], float | Tensor]
    name: str = "metric"

    def loss_of(self, output: object, labels: Tensor) -> Tensor:
        """The mean loss of a batch. Raises `InvalidValueError` where it is no scalar."""
        loss = self.loss(main_output(output).float(), labels)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise InvalidValueError(
                f"A task's loss must give the batch's mean, one number as a tensor, but gave {got}."
            )
        return loss

    def metric_of(self, outputs: Tensor, labels: Tensor) -> float:
        """The metric of a split. Raises `InvalidValueError` where it is not within 0..1."""
        value = float(self.metric(outputs, labels))
        if not 0 <= value <= 1:
            raise InvalidValueError(
                "A task's metric must be a number from 0 to 1, higher being better, but "
                f"{self.name} was {value:g}; scale it, or invert it."
            )
        return value


def mean_iou(outputs: Tensor, labels: Tensor) -> float:
    """Mean intersection over union of the classes, for logits (N, K, H, W) and masks (N, H, W).

    IoU_k = |predicted k and labelled k| / |predicted k or labelled k|, over all pixels of all
    images; the mean is over the classes that occur in either. Everingham et al. (2010).
    """
    predicted = outputs.argmax(1)
    shares = []
    for kind in range(outputs.shape[1]):
        ours, theirs = predicted == kind, labels == kind
        union = int((ours | theirs).sum())
        if union:
            shares.append(int((ours & theirs).sum()) / union)
    return sum(shares) / len(shares)


def evaluate_task(
    model: nn.Module, data: DataSet, images: ImageSet, task: Task, batch_size: int, show: Progress
) -> Evaluation:
    """Measure a network by a task; all outputs of the split are held at once."""
    at = next(model.parameters(), None)
    device = torch.device("cpu") if at is None else at.device
    total, outputs = 0.0, []
    with eval_mode(model), torch.no_grad(), bar("Evaluating", show) as tick:
        done = 0
        for x, y in images.batches(batch_size, device=device):
            output = model(x.contiguous(memory_format=torch.channels_last))
            total += float(task.loss_of(output, y)) * len(y)
            outputs.append(main_output(output).float().cpu())
            done += len(y)
            tick(done, len(images))
    every = torch.cat(outputs)
    return Evaluation(
        accuracy=task.metric_of(every, images.labels),
        loss=total / len(images),
        per_class=(),
        count=len(images),
        classes=(),
        predictions=every.argmax(1).numpy() if every.ndim > 1 else every.numpy(),
        measure=task.name,
    )

"""The training loop: events while it runs, and a state from which it continues exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from pruneviz.arguments import instance, network, one_of
from pruneviz.bars import followed
from pruneviz.data import DataSet, check_data
from pruneviz.errors import InvalidValueError
from pruneviz.training.epochs import run_epochs
from pruneviz.training.events import BatchEvent, EpochEvent
from pruneviz.training.recipe import settings_for
from pruneviz.training.resuming import check_resumable
from pruneviz.training.settings import (
    OPTIMIZERS,
    TEACHER_WEIGHT,
    TEMPERATURE,
)
from pruneviz.training.task import Task
from pruneviz.training.weights import digest_weights


def fine_tune(
    model: nn.Module,
    data: DataSet,
    *,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    optimizer: str = "sgd",
    schedule: str = "cosine",
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    label_smoothing: float = 0.0,
    augment: str | None = "auto",
    patience: int | None = None,
    mixed_precision: bool = False,
    head_epochs: int | None = None,
    head_lr: float | None = None,
    clip: float | None = None,
    task: Task | None = None,
    teacher: nn.Module | None = None,
    teacher_weight: float = TEACHER_WEIGHT,
    temperature: float = TEMPERATURE,
    decay_all: bool = False,
    batches: bool = False,
    resume: Mapping[str, Any] | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Iterator[EpochEvent | BatchEvent]:
    """Train ``model`` in place; yields an `EpochEvent` after every epoch.

    SGD (with Nesterov momentum) or AdamW (Loshchilov & Hutter 2019) on the cross-entropy with
    label smoothing (Szegedy et al. 2016); the learning rate follows half a cosine from ``lr`` to 0
    (Loshchilov & Hutter 2017), or rises for 30 % of the steps and falls for the rest (one-cycle,
    Smith & Topin 2018), or falls to a fifth of itself after 30, 60 and 80 % of the steps ("steps",
    as wide residual networks are trained: Zagoruyko & Komodakis 2016). ``weight_decay`` spares
    biases and the affine values of normalisation layers unless ``decay_all``. Auxiliary classifiers
    count 0.4 where there is one, 0.3 where two.

    With ``batches``, a `BatchEvent` follows every mini-batch too.

    A new classifier (``load_model`` replaced it) learns alone for the first ``head_epochs``, at
    ``head_lr``; then all layers learn at a lower rate. Settings that are None are chosen to suit
    the network and the number of images (`pruneviz.training.recipe`): ``epochs`` (3, or more on
    few images), ``head_epochs``, ``lr`` (0.02 for SGD and 0.001 for AdamW, a tenth of it for a new
    classifier or without batch norm) and ``clip``, the largest norm of the gradient in these two
    cases. ``batch_size`` is 128, or fewer where that would be under 40 steps an
    epoch; ``augment`` what suits the data set. With ``patience`` training stops once validation
    accuracy has not risen for that many epochs. ``mixed_precision`` computes in bfloat16 where that
    is safe. ``device`` defaults to the accelerator where there is one; afterwards the network is
    back where it was. A bar shows the epochs unless ``progress`` is False.

    With a ``task`` its loss replaces the cross-entropy, and events tell its metric as their
    accuracy; images with masks are not augmented, and there is no teacher.

    With a ``teacher`` (usually the unpruned network) the outputs s also learn from the teacher's t
    (Hinton, Vinyals & Dean 2015): with w = ``teacher_weight`` and T = ``temperature``,

        loss = (1 - w) cross-entropy(s, labels) + w T^2 KL(softmax(t / T) || softmax(s / T))

    so labels are not used where w = 1. The teacher does not change. Without augmentation it sees
    every image once per run; with it, every batch: an epoch of ResNet-20 on digits, with a quarter
    of its MACs left, then took 1.6 times as long on a CPU.

    If the loss becomes NaN or infinite, training restarts from the end of the previous epoch at a
    tenth of the learning rate, up to three times; the event's ``message`` says so.

    ``resume`` takes the ``state`` of an event: called with the same settings, network and data, the
    run continues after that epoch or batch and ends with bit-identical weights (on a CPU, with as
    many threads).

    Raises `InvalidValueError` and `UnknownNameError` at the call; `TrainingError` if the loss is
    not finite even then, or was not before the first step.

    Example:
        >>> small = pv.prune(model, graph, pv.Plan(graph).drop("layer1.0.conv1", [3, 5]))
        >>> for event in pv.fine_tune(small, data, epochs=1):
        ...     print(f"epoch {event.epoch} of {event.epochs}: {event.accuracy > 0.9}")
        epoch 1 of 1: True
    """
    one_of("optimizer", optimizer, OPTIMIZERS)
    network(model)
    if teacher is not None:
        instance("teacher", teacher, nn.Module, "pv.load_model(name) gives one")
    check_data(data).split("train")
    if task is not None and teacher is not None:
        raise InvalidValueError(
            "A teacher needs classes, so it cannot be combined with a task of your own; leave one "
            "of them out."
        )
    if data.train.labels.ndim > 1:
        augment = None  # a crop would have to be the mask's, too
    settings = settings_for(
        model,
        data,
        epochs=epochs,
        head_epochs=head_epochs,
        lr=lr,
        head_lr=head_lr,
        clip=clip,
        batch_size=batch_size,
        seed=seed,
        optimizer=optimizer,
        schedule=schedule,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augment=augment,
        patience=patience,
        mixed_precision=mixed_precision,
        teacher=None if teacher is None else digest_weights(teacher),
        teacher_weight=teacher_weight,
        temperature=temperature,
        decay_all=decay_all,
    )
    data.split("val")
    if resume is not None:
        check_resumable(resume, settings, model, data)
    target = torch.device(device) if device is not None else default_device()
    events = run_epochs(model, data, settings, teacher, batches, resume, target, task)

    def done(event: EpochEvent | BatchEvent) -> tuple[int, int]:
        return event.epoch - isinstance(event, BatchEvent), settings.epochs

    return followed(events, "Fine-tuning", done, progress, "epoch")


def default_device() -> torch.device:
    """CUDA or MPS where there is one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None or accelerator.type not in ("cuda", "mps"):
        return torch.device("cpu")
    return accelerator

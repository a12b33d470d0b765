"""Training epoch by epoch: events, a state after each, and restarts at a lower learning rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from pruneviz.data import DataSet, ImageSet, chunks
from pruneviz.errors import TrainingError
from pruneviz.training.evaluation import channels_last, device_of, evaluate
from pruneviz.training.events import BatchEvent, EpochEvent
from pruneviz.training.phases import is_head, rate_at, training_mode
from pruneviz.training.settings import (
    LOWER,
    Settings,
    make_optimizer,
)
from pruneviz.training.step import own_random_state, seed_of, snapshot, step
from pruneviz.training.task import Task
from pruneviz.training.teacher import Teacher

RESTARTS = 3  # at a tenth of the rate each, when the loss is not finite any more
HELD_BYTES = 4 * 2**30  # an accelerator holds the training images up to this size


class _DivergedError(Exception):
    """The loss is not finite any more; `learnt` says whether an update may be to blame."""

    def __init__(self, loss: float, epoch: int, step: int, rate: float) -> None:
        self.learnt = step > 0
        where = f"epoch {epoch + 1}, batch {step + 1}, at a learning rate of {rate:.3g}"
        self.sentence = (
            f"The loss must stay finite, but was {loss} in {where}; lower the learning rate, or "
            "check the weights that training started from."
        )
        self.restart = (
            f"The loss was {loss} in {where}; the epoch was restarted at a tenth of that rate."
        )


def _beginning(model: nn.Module, settings: Settings, data: DataSet) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "data": data.digest,
        "epoch": 0,
        "best": -1.0,
        "since": 0,
        "slowed": 0,
        "model": snapshot(model.state_dict()),
        "optimizer": None,
    }


def _broken_off(
    kept: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    more: Mapping[str, Any],
    step: int,
    total: float,
) -> dict[str, Any]:
    """The state in the middle of an epoch: the one before it, and how far it has come."""
    within = {
        "step": step,
        "total": total,
        "model": snapshot(model.state_dict()),
        "optimizer": snapshot(optimizer.state_dict()),
    }
    return {**kept, **more, "within": within}


def run_epochs(
    model: nn.Module,
    data: DataSet,
    settings: Settings,
    teacher: nn.Module | None,
    batches: bool,
    resume: Mapping[str, Any] | None,
    device: torch.device,
    task: Task | None = None,
) -> Iterator[EpochEvent | BatchEvent]:
    """Train in place to the end of the settings' epochs, or on from `resume`; see `fine_tune`."""
    home, was_training = device_of(model), model.training
    train = data.train
    if device.type != "cpu" and train.images.nbytes <= HELD_BYTES:
        train = train.to(device)
    try:
        model.to(device).to(memory_format=torch.channels_last)
        kept: Mapping[str, Any] = (
            resume if resume is not None else _beginning(model, settings, data)
        )
        within: Mapping[str, Any] | None = kept.get("within")
        best, since, slowed = kept["best"], kept["since"], kept.get("slowed", 0)
        optimizer: torch.optim.Optimizer | None = None
        message = str(kept.get("message", ""))
        if resume is not None:
            model.load_state_dict((within or resume)["model"])
        ask = None
        if teacher is not None and settings.teacher_weight > 0:
            ask = Teacher(teacher, data, train, settings, device)
        while (epoch := kept["epoch"]) < settings.epochs:
            if settings.patience is not None and since >= settings.patience:
                return
            started, head = time.perf_counter(), is_head(settings, epoch)
            try:
                with training_mode(model, head=head):
                    if optimizer is None or epoch == settings.head_epochs:
                        optimizer = make_optimizer(model, settings)
                        begun = within or resume
                        same = within or is_head(settings, epoch - 1) == head
                        if kept is resume and same and begun and begun["optimizer"]:
                            optimizer.load_state_dict(begun["optimizer"])
                    slower, more = LOWER**slowed, {"slowed": slowed, "message": message}
                    state_at = (
                        partial(_broken_off, kept, model, optimizer, more) if batches else None
                    )
                    loss, rate = yield from _epoch(
                        model,
                        optimizer,
                        train,
                        data,
                        settings,
                        ask,
                        epoch,
                        slower,
                        state_at,
                        within,
                        message,
                        task,
                    )
                    within = None
                result = evaluate(model, data, task=task, progress=False)
                if not math.isfinite(result.loss):
                    raise _DivergedError(result.loss, epoch, len(train), rate)
            except _DivergedError as error:
                if not error.learnt or slowed == RESTARTS:
                    raise TrainingError(error.sentence) from None
                slowed += 1
                optimizer, message, within = None, error.restart, None
                model.load_state_dict(kept["model"])
                continue
            best, since = (result.accuracy, 0) if result.accuracy > best else (best, since + 1)
            kept = {
                "settings": asdict(settings),
                "data": data.digest,
                "epoch": epoch + 1,
                "best": best,
                "since": since,
                "slowed": slowed,
                "model": snapshot(model.state_dict()),
                "optimizer": snapshot(optimizer.state_dict()),
            }
            yield EpochEvent(
                epoch=epoch + 1,
                epochs=settings.epochs,
                loss=loss,
                accuracy=result.accuracy,
                val_loss=result.loss,
                lr=rate,
                seconds=time.perf_counter() - started,
                state=dict(kept),
                message=message,
                predictions=result.predictions,
            )
            message = ""
    finally:
        model.to(home).to(memory_format=torch.contiguous_format)
        model.train(was_training)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: ImageSet,
    data: DataSet,
    settings: Settings,
    ask: Teacher | None,
    epoch: int,
    slower: float,
    state: Callable[[int, float], dict[str, Any]] | None,
    within: Mapping[str, Any] | None,
    message: str,
    task: Task | None,
) -> Generator[BatchEvent, None, tuple[float, float]]:
    """Go through the training images once; return the mean loss and the last learning rate.

    An event a batch where there is a `state` to hand out; `within` is where it was broken off. The
    first event says `message`.
    """
    device = device_of(model)
    steps = len(chunks(len(train), settings.batch_size))
    first, total, rate = 0, 0.0, 0.0
    if within is not None:
        first, total = within["step"], within["total"]
    # Batches tell images' numbers in place of their labels: a teacher is asked by number.
    numbers = torch.arange(len(train), device=train.labels.device)
    labels = train.labels.to(device)
    batch = replace(train, labels=numbers).batches(
        settings.batch_size,
        shuffle_seed=seed_of(settings.seed, epoch, 0),
        augment=settings.augment,
        device=device,
    )
    for number, (x, rows) in enumerate(batch):
        rate = slower * rate_at(settings, epoch + number / steps)
        if number < first:
            continue  # drawn all the same: the next ones depend on it
        for group in optimizer.param_groups:
            group["lr"] = rate
        x, y = channels_last(x), labels[rows]
        taught = None if ask is None else ask(x, rows)
        with own_random_state(device, seed_of(settings.seed, epoch, number + 1)):
            loss, right = step(model, optimizer, x, y, taught, data, settings, task)
        if not math.isfinite(loss):
            raise _DivergedError(loss, epoch, number, rate)
        total += loss * len(y)
        if state is not None:
            state_now = partial(state, number + 1, total)
            note = message if number == first else ""
            yield BatchEvent(epoch + 1, number + 1, steps, loss, right, state_now, note)
    return total / len(train), rate

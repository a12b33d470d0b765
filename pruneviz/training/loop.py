"""The training loop: events while it runs, and a state from which it continues exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from pruneviz.arguments import instance, network, one_of
from pruneviz.bars import followed
from pruneviz.data import DataSet, ImageSet, check_data, chunks
from pruneviz.errors import TrainingError
from pruneviz.training.evaluation import channels_last, device_of, evaluate
from pruneviz.training.phases import is_head, rate_at, training_mode
from pruneviz.training.recipe import settings_for
from pruneviz.training.resuming import check_resumable
from pruneviz.training.settings import (
    LOWER,
    OPTIMIZERS,
    TEACHER_WEIGHT,
    TEMPERATURE,
    Settings,
    make_optimizer,
)
from pruneviz.training.step import own_random_state, seed_of, snapshot, step
from pruneviz.training.teacher import Teacher
from pruneviz.training.weights import digest_weights

RESTARTS = 3  # at a tenth of the rate each, when the loss is no number any more
HELD_BYTES = 4 * 2**30  # an accelerator holds the training images up to this size


@dataclass(frozen=True)
class BatchEvent:
    """One training step is done: ``step`` of ``steps`` in ``epoch`` (both from 1), its loss.

    ``message`` says at the first step after it that the epoch was begun again at a lower rate.
    Until the next one, ``state()`` makes what `fine_tune` needs to continue after this batch; a run
    that has to stop in the middle of a long epoch asks for it.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    state: Callable[[], dict[str, Any]] = field(repr=False, compare=False)
    message: str = ""


@dataclass(frozen=True, eq=False)
class EpochEvent:
    """One epoch is done: training loss, validation accuracy (0..1) and loss, seconds it took.

    ``message`` says what a reader should know, such as that the epoch was begun again at a lower
    learning rate; empty where there is nothing to say. ``state`` holds all that `fine_tune` needs
    to continue after this epoch; it can be written with ``torch.save`` and read with
    ``weights_only=True``.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    lr: float
    seconds: float
    state: dict[str, Any] = field(repr=False)
    message: str = ""


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
    teacher: nn.Module | None = None,
    teacher_weight: float = TEACHER_WEIGHT,
    temperature: float = TEMPERATURE,
    decay_all: bool = False,
    batches: bool = False,
    resume: Mapping[str, Any] | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Iterator[EpochEvent | BatchEvent]:
    """Train ``model`` in place; an `EpochEvent` after every epoch, on request one a batch too.

    SGD (with Nesterov momentum) or AdamW (Loshchilov & Hutter 2019) on the cross-entropy with
    label smoothing (Szegedy et al. 2016); the learning rate follows half a cosine from ``lr`` to 0
    (Loshchilov & Hutter 2017), or rises for 30 % of the steps and falls for the rest (one-cycle,
    Smith & Topin 2018), or falls to a fifth of itself after 30, 60 and 80 % of the steps ("steps",
    as wide residual networks are trained: Zagoruyko & Komodakis 2016). ``weight_decay`` spares
    biases and the affine values of normalisation layers unless ``decay_all``. Auxiliary classifiers
    count 0.4 where there is one, 0.3 where two.

    A classifier that ``load_model`` has put in anew learns alone for the first ``head_epochs``, at
    ``head_lr``, and then all layers do at a lower rate. What is left out is chosen to suit the
    network and the number of images, see `pruneviz.training.recipe`: ``epochs`` (3, or more on
    few images), ``head_epochs``, ``lr`` (0.02 for SGD and 0.001 for AdamW, a tenth of it for a new
    classifier and without batch norm) and ``clip``, to which the norm of the gradient is bounded
    in these two cases. ``batch_size`` is 128, or fewer where that would be under 40 steps an
    epoch; ``augment`` what suits the data set. With ``patience`` training stops once validation
    accuracy has not risen for so many epochs. ``mixed_precision`` computes in bfloat16 where that
    is safe. ``device`` defaults to the accelerator where there is one; afterwards the network is
    back where it was. A bar tells the epochs unless ``progress`` is False.

    With a ``teacher`` (the unpruned network, as a rule) the outputs s are also drawn towards the
    teacher's t (Hinton, Vinyals & Dean 2015): with w = ``teacher_weight`` and T = ``temperature``,

        loss = (1 - w) cross-entropy(s, labels) + w T^2 KL(softmax(t / T) || softmax(s / T))

    so labels are not looked at where w = 1. The teacher does not change. Without augmentation it
    looks at every image once a run; with it, at every batch: an epoch of ResNet-20 on digits, with
    a quarter of its MACs left, then took 1.6 times as long on a CPU.

    When the loss is no longer a number, training goes back to the end of the epoch before and on
    at a tenth of the learning rate, up to three times; the event's ``message`` says so.

    ``resume`` takes the ``state`` of an event: called with the same settings, network and data, the
    run continues after that epoch or batch and ends with bit-identical weights (on a CPU, with as
    many threads).

    Raises `InvalidValueError` and `UnknownNameError` at the call; `TrainingError` when the loss is
    no number even so, or was none before anything was learnt.
    """
    one_of("optimizer", optimizer, OPTIMIZERS)
    network(model)
    if teacher is not None:
        instance("teacher", teacher, nn.Module, "pv.load_model(name) gives one")
    check_data(data).split("train")
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
    events = _run(model, data, settings, teacher, batches, resume, target)

    def done(event: EpochEvent | BatchEvent) -> tuple[int, int]:
        return event.epoch - isinstance(event, BatchEvent), settings.epochs

    return followed(events, "Fine-tuning", done, progress, "epoch")


def default_device() -> torch.device:
    """CUDA or MPS where there is one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return (
        accelerator
        if accelerator is not None and accelerator.type in ("cuda", "mps")
        else torch.device("cpu")
    )


class _DivergedError(Exception):
    """The loss is no number any more; `learnt` tells whether an update may be to blame."""

    def __init__(self, loss: float, epoch: int, step: int, rate: float) -> None:
        self.learnt = step > 0
        where = f"epoch {epoch + 1}, batch {step + 1}, at a learning rate of {rate:.3g}"
        self.sentence = (
            f"The loss must stay a finite number, but was {loss} in {where}; lower the learning "
            "rate, or check the weights that training started from."
        )
        self.restart = (
            f"The loss was {loss} in {where}: the epoch was begun again at a tenth of that rate."
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


def _run(
    model: nn.Module,
    data: DataSet,
    settings: Settings,
    teacher: nn.Module | None,
    batches: bool,
    resume: Mapping[str, Any] | None,
    device: torch.device,
) -> Iterator[EpochEvent | BatchEvent]:
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
                    )
                    within = None
                result = evaluate(model, data, progress=False)
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
            loss = step(model, optimizer, x, y, taught, data, settings)
        if not math.isfinite(loss):
            raise _DivergedError(loss, epoch, number, rate)
        total += loss * len(y)
        if state is not None:
            state_now = partial(state, number + 1, total)
            said = message if number == first else ""
            yield BatchEvent(epoch + 1, number + 1, steps, loss, state_now, said)
    return total / len(train), rate

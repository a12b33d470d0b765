"""The training loop: events while it runs, and a state from which it continues exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pruneviz.arguments import instance, network, one_of
from pruneviz.data import DataSet, check_data, chunks
from pruneviz.errors import InvalidValueError, TrainingError
from pruneviz.training.evaluation import channels_last, check_outputs, device_of, evaluate
from pruneviz.training.settings import (
    DEFAULT_LR,
    OPTIMIZERS,
    Settings,
    learning_rate,
    make_optimizer,
)

AUX_WEIGHTS = {1: 0.4, 2: 0.3}  # Inception v3 has one auxiliary classifier, GoogLeNet two
HELD_BYTES = 4 * 2**30  # an accelerator holds the training images up to this size


@dataclass(frozen=True)
class BatchEvent:
    """One training step is done: ``step`` of ``steps`` in ``epoch`` (both from 1), its loss."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, eq=False)
class EpochEvent:
    """One epoch is done: training loss, validation accuracy (0..1) and loss, seconds it took.

    ``state`` holds all that `fine_tune` needs to continue after this epoch; it can be written with
    ``torch.save`` and read with ``weights_only=True``.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    val_loss: float
    lr: float
    seconds: float
    state: dict[str, Any] = field(repr=False)


def fine_tune(
    model: nn.Module,
    data: DataSet,
    *,
    epochs: int = 3,
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
    batches: bool = False,
    resume: Mapping[str, Any] | None = None,
    device: torch.device | str | None = None,
) -> Iterator[EpochEvent | BatchEvent]:
    """Train ``model`` in place; an `EpochEvent` after every epoch, on request one a batch too.

    SGD (with Nesterov momentum) or AdamW (Loshchilov & Hutter 2019) on the cross-entropy with
    label smoothing (Szegedy et al. 2016); the learning rate follows half a cosine from ``lr`` to 0
    (Loshchilov & Hutter 2017), or rises for 30 % of the steps and falls for the rest (one-cycle,
    Smith & Topin 2018). Auxiliary classifiers count 0.4 where there is one, 0.3 where two.

    ``lr`` defaults to 0.02 for SGD and 0.001 for AdamW; ``batch_size`` to 128, or fewer where
    that would be under 40 steps an epoch; ``augment`` to what suits the data set. With ``patience``
    training stops once validation accuracy has not risen for so many epochs. ``mixed_precision``
    computes in bfloat16 where that is safe. ``device`` defaults to the accelerator where there is
    one; afterwards the network is back where it was.

    ``resume`` takes the ``state`` of an `EpochEvent`: called with the same settings, network and
    data, the run continues after that epoch and ends with bit-identical weights (on a CPU, with
    as many threads).

    Raises `InvalidValueError` and `UnknownNameError` at the call; `TrainingError` when the loss is
    no longer a number.
    """
    one_of("optimizer", optimizer, OPTIMIZERS)
    network(model)
    count = len(check_data(data).split("train"))
    settings = Settings(
        epochs=epochs,
        lr=DEFAULT_LR[optimizer] if lr is None else lr,
        batch_size=min(128, max(16, count // 40)) if batch_size is None else batch_size,
        seed=seed,
        optimizer=optimizer,
        schedule=schedule,
        momentum=momentum,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        augment=data.augment if augment == "auto" else augment,
        patience=patience,
        mixed_precision=mixed_precision,
    )
    data.split("val")
    if resume is not None:
        _check_resumable(resume, settings, model, data)
    target = torch.device(device) if device is not None else default_device()
    return _run(model, data, settings, batches, resume, target)


def default_device() -> torch.device:
    """CUDA or MPS where there is one, else the CPU."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found if found is not None and found.type in ("cuda", "mps") else torch.device("cpu")


def _run(
    model: nn.Module,
    data: DataSet,
    settings: Settings,
    batches: bool,
    resume: Mapping[str, Any] | None,
    device: torch.device,
) -> Iterator[EpochEvent | BatchEvent]:
    home, was_training = device_of(model), model.training
    train = data.train
    if device.type != "cpu" and train.images.nbytes <= HELD_BYTES:
        train = train.to(device)
    steps = len(chunks(len(train), settings.batch_size))
    try:
        model.to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(model, settings)
        done, best, since = 0, -1.0, 0
        if resume is not None:
            model.load_state_dict(resume["model"])
            optimizer.load_state_dict(resume["optimizer"])
            done, best, since = resume["epoch"], resume["best"], resume["since"]
        for epoch in range(done, settings.epochs):
            if settings.patience is not None and since >= settings.patience:
                return
            started, total, rate = time.perf_counter(), 0.0, settings.lr
            model.train()
            batch = train.batches(
                settings.batch_size,
                shuffle_seed=_seed(settings.seed, epoch, 0),
                augment=settings.augment,
                device=device,
            )
            for step, (x, y) in enumerate(batch):
                rate = learning_rate(settings, (epoch + step / steps) / settings.epochs)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with _own_random_state(device, _seed(settings.seed, epoch, step + 1)):
                    loss = _step(model, optimizer, channels_last(x), y, data, settings)
                _check_finite(loss, epoch, step, rate)
                total += loss * len(y)
                if batches:
                    yield BatchEvent(epoch + 1, step + 1, steps, loss)
            result = evaluate(model, data)
            if not math.isfinite(result.loss):
                _check_finite(result.loss, epoch, steps - 1, rate)
            best, since = (result.accuracy, 0) if result.accuracy > best else (best, since + 1)
            yield EpochEvent(
                epoch=epoch + 1,
                epochs=settings.epochs,
                loss=total / len(train),
                accuracy=result.accuracy,
                val_loss=result.loss,
                lr=rate,
                seconds=time.perf_counter() - started,
                state={
                    "settings": asdict(settings),
                    "data": data.digest,
                    "epoch": epoch + 1,
                    "best": best,
                    "since": since,
                    "model": _snapshot(model.state_dict()),
                    "optimizer": _snapshot(optimizer.state_dict()),
                },
            )
    finally:
        model.to(home).to(memory_format=torch.contiguous_format)
        model.train(was_training)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    data: DataSet,
    settings: Settings,
) -> float:
    """One optimiser step; the loss before it."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.mixed_precision):
        output = model(x)
    outputs = [output] if isinstance(output, torch.Tensor) else [o for o in output if o is not None]
    check_outputs(outputs[0], data)
    losses = [
        cross_entropy(logits.float(), y, label_smoothing=settings.label_smoothing)
        for logits in outputs
    ]
    loss = losses[0]
    for auxiliary in losses[1:]:
        loss = loss + AUX_WEIGHTS.get(len(losses) - 1, 0.3) * auxiliary
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _seed(*parts: int) -> int:
    mixed = 0
    for part in parts:
        mixed = (mixed * 1_000_003 + part) % (2**63)
    return mixed


@contextmanager
def _own_random_state(device: torch.device, seed: int) -> Iterator[None]:
    """Seed what dropout draws from, and put the caller's random state back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def _snapshot(value: Any) -> Any:
    """A copy on the CPU of every tensor in nested dicts and lists, layouts kept."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_snapshot(item) for item in value]
    return value


def _check_finite(loss: float, epoch: int, step: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss must stay a finite number, but was {loss} in epoch {epoch + 1}, batch "
            f"{step + 1}, at a learning rate of {rate:.3g}; lower the learning rate, or check the "
            "weights that training started from."
        )


def _check_resumable(
    state: Mapping[str, Any], settings: Settings, model: nn.Module, data: DataSet
) -> None:
    instance("resume", state, Mapping, "give the state of an epoch event")  # type: ignore[type-abstract]
    missing = {"settings", "data", "epoch", "best", "since", "model", "optimizer"} - set(state)
    if missing:
        raise InvalidValueError(
            f"resume must be the state of an epoch event, but has no {', '.join(sorted(missing))}."
        )
    there = {key: value.shape for key, value in model.state_dict().items()}
    if there != {key: value.shape for key, value in state["model"].items()}:
        raise InvalidValueError(
            "A run is resumed with the network it was started with, but this one has other "
            "weights; build and prune it as then, or start a new run."
        )
    now = asdict(settings) | {"data": data.digest}
    then = dict(state["settings"]) | {"data": state["data"]}
    differing = [name for name in now if now[name] != then.get(name)]
    if differing:
        name = differing[0]
        raise InvalidValueError(
            f"A run is resumed with the settings it was started with: {name} was {then.get(name)}, "
            f"but got {now[name]}; pass {name}={then.get(name)} or start a new run."
        )

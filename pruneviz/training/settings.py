"""Everything that determines the result of fine-tuning, apart from network and data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import nn

from pruneviz.arguments import number, one_of, whole
from pruneviz.augmentation import AUGMENTATIONS
from pruneviz.errors import InvalidValueError

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "one-cycle", "steps", "constant")
DEFAULT_LR = {"sgd": 0.02, "adamw": 0.001}
TEACHER_WEIGHT, TEMPERATURE = 0.9, 4.0
LOWER = 0.1  # of the default where a higher rate would undo what the network knows, or overflow
STEPS = (0.3, 0.6, 0.8)  # shares of training after which the rate falls: 60, 120, 160 of 200 epochs
FALL = 0.2  # to this part of itself
WARM_UP = 0.3  # share of a one-cycle schedule in which the learning rate rises


@dataclass(frozen=True)
class Settings:
    """Everything that determines the result of fine-tuning, apart from network and data."""

    epochs: int
    lr: float
    batch_size: int
    seed: int = 0
    optimizer: str = "sgd"
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augment: str | None = None
    patience: int | None = None
    mixed_precision: bool = False
    head_epochs: int = 0
    """Of the epochs, those at the beginning in which the classifier alone learns."""
    head_lr: float = 0.01
    clip: float = math.inf
    """The largest norm of the gradient over all weights; a larger one is scaled down to it."""
    teacher: str | None = None
    """Digest of the weights of the network that this one learns from."""
    teacher_weight: float = TEACHER_WEIGHT
    """Share (0..1) of the loss that is the distance to the teacher's outputs."""
    temperature: float = TEMPERATURE
    decay_all: bool = False
    """Whether biases and the affine values of normalisation layers decay too."""

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            one_of(name, getattr(self, name), choices)
        if self.augment is not None:
            one_of("augmentation", self.augment, AUGMENTATIONS)
        for name in ("epochs", "batch_size"):
            whole(name, getattr(self, name))
        whole("seed", self.seed, 0)
        for name in ("lr", "head_lr", "temperature"):
            if number(name, getattr(self, name), 0) == 0:
                raise InvalidValueError(
                    f"{name} must be a positive number, but got {getattr(self, name)}."
                )
        if self.clip != math.inf and number("clip", self.clip, 0) == 0:
            raise InvalidValueError(f"clip must be a positive number, but got {self.clip}.")
        whole("head_epochs", self.head_epochs, 0, self.epochs)
        number("weight_decay", self.weight_decay, 0)
        number("teacher_weight", self.teacher_weight, 0, 1)
        for name in ("momentum", "label_smoothing"):
            if number(name, getattr(self, name), 0) >= 1:
                raise InvalidValueError(
                    f"{name} must be at least 0 and less than 1, but got {getattr(self, name)}."
                )
        if self.patience is not None:
            whole("patience", self.patience)


class Wishes(TypedDict, total=False):
    """Settings as `fine_tune` takes them: None leaves a choice to the network and the data."""

    epochs: int | None
    head_epochs: int | None
    lr: float | None
    head_lr: float | None
    clip: float | None
    batch_size: int | None
    augment: str | None
    """"auto": what suits the data set."""
    seed: int
    optimizer: str
    schedule: str
    momentum: float
    weight_decay: float
    label_smoothing: float
    patience: int | None
    mixed_precision: bool
    teacher: str | None
    teacher_weight: float
    temperature: float
    decay_all: bool


def learning_rate(settings: Settings, progress: float, *, head: bool = False) -> float:
    """The learning rate after this share (0..1) of all steps; of the classifier's with `head`."""
    rate = settings.head_lr if head else settings.lr
    if settings.schedule == "constant":
        return rate
    if settings.schedule == "steps":
        return rate * FALL ** sum(progress >= share - 1e-9 for share in STEPS)
    if settings.schedule == "one-cycle":
        if progress < WARM_UP:
            return rate * (0.04 + 0.96 * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return rate * (1 + math.cos(math.pi * progress)) / 2


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """SGD or AdamW; biases and affine values of normalisation layers decay on request only."""
    decay = settings.weight_decay if settings.decay_all else 0.0
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": decay},
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr)
    nesterov = settings.momentum > 0
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov)

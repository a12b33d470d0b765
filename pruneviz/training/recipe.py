"""Default settings that suit the network and the number of images.

A new classifier on weights that were trained on other classes learns alone at first, while the
rest is frozen: its first gradients are those of random weights, and would undo what the rest has
learned. Then all layers learn at a lower rate. (The two steps are common practice; Kumar et al.
2022, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*,
arXiv:2202.10054, show why.) On few images epochs are short, so there are more of them.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

from torch import nn

from pruneviz.arguments import one_of, whole
from pruneviz.data import DataSet, chunks
from pruneviz.errors import InvalidValueError
from pruneviz.training.settings import DEFAULT_LR, LOWER, OPTIMIZERS, Settings, Wishes

EPOCHS = 3
HEAD_UPDATES, UPDATES = 48, 64
"""Steps that the classifier alone, and all layers, take at least; on few images more epochs."""
CLIP = 1.0
"""Norm of the gradient where it is bounded: by a new classifier, and without batch norm."""

NORMALISING = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)


def has_new_classifier(model: nn.Module) -> bool:
    """Whether the classifier is new, and everything before it trained on other classes."""
    from pruneviz.catalog import describe_model

    try:
        return describe_model(model).classifier_replaced
    except InvalidValueError:  # a network from elsewhere: nothing is known of it
        return False


def normalises(model: nn.Module) -> bool:
    """Whether the network has layers that keep its activations at a scale (batch norm, say)."""
    return any(isinstance(module, NORMALISING) for module in model.modules())


def batch_size_of(data: DataSet, wanted: int | None) -> int:
    """Images a mini-batch: 128, or fewer where that would be under 40 steps an epoch."""
    count = len(data.split("train"))
    return min(128, max(16, count // 40)) if wanted is None else wanted


def settings_for(model: nn.Module, data: DataSet, **wishes: Unpack[Wishes]) -> Settings:
    """Return the settings of `fine_tune` with everything decided that was left open.

    `epochs` are 3, or as many as make 64 steps, and those of the classifier before them;
    `head_epochs` as many as make 48 steps where the classifier is new (at most half of `epochs`),
    else 0. `lr` is 0.02 for SGD and 0.001 for AdamW, a tenth of it with a new classifier or
    without layers that normalise; `head_lr` is 0.01 and 0.001. Gradients are clipped to a norm of
    1 in the same two cases; `clip=math.inf` leaves them as they are.
    """
    given: dict[str, Any] = dict(wishes)
    optimizer = one_of("optimizer", given.get("optimizer", OPTIMIZERS[0]), OPTIMIZERS)
    epochs, head_epochs = given.pop("epochs", None), given.pop("head_epochs", None)
    batch_size = given.pop("batch_size", None)
    lr, head_lr, clip = (given.pop(name, None) for name in ("lr", "head_lr", "clip"))
    augment = given.pop("augment", "auto")
    for name, value, least in (
        ("epochs", epochs, 1),
        ("head_epochs", head_epochs, 0),
        ("batch_size", batch_size, 1),
    ):
        if value is not None:
            whole(name, value, least)
    size = batch_size_of(data, batch_size)
    steps = max(1, len(chunks(len(data.split("train")), max(1, size))))
    new, delicate = has_new_classifier(model), not normalises(model)
    if head_epochs is None:
        head_epochs = math.ceil(HEAD_UPDATES / steps) if new else 0
        if epochs is not None:
            head_epochs = min(head_epochs, max(0, epochs // 2))
    if epochs is None:
        epochs = head_epochs + max(EPOCHS, math.ceil(UPDATES / steps))
    usual = DEFAULT_LR[optimizer]
    careful = new or delicate
    return Settings(
        epochs=epochs,
        head_epochs=head_epochs,
        lr=(usual * LOWER if careful else usual) if lr is None else lr,
        head_lr=usual / 2 if head_lr is None else head_lr,
        clip=(CLIP if careful else math.inf) if clip is None else clip,
        batch_size=size,
        augment=data.augment if isinstance(augment, str) and augment == "auto" else augment,
        **given,
    )

"""Checks that a run is resumed with the network, data and settings that it was started with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from pruneviz.arguments import instance
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.training.settings import Settings


def check_resumable(
    state: Mapping[str, Any], settings: Settings, model: nn.Module, data: DataSet
) -> None:
    """Raise `InvalidValueError`, with the reason, for the state of another run."""
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
    given = asdict(settings) | {"data": data.digest}
    since = {"head_epochs": 0, "head_lr": settings.head_lr, "clip": math.inf} | {  # newer settings
        "teacher": None,
        "teacher_weight": settings.teacher_weight,
        "temperature": settings.temperature,
        "decay_all": False,
    }
    original = since | dict(state["settings"]) | {"data": state["data"]}
    differing = [name for name in given if given[name] != original.get(name)]
    if differing:
        name = differing[0]
        raise InvalidValueError(
            f"A run is resumed with the settings it was started with: {name} was "
            f"{original.get(name)}, but got {given[name]}; pass {name}={original.get(name)}, or "
            "start a new run."
        )

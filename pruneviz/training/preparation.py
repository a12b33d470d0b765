"""How training of a pruned network starts: repaired, and taught by the unpruned network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from pruneviz.arguments import instance
from pruneviz.errors import InvalidValueError


@dataclass(frozen=True)
class Preparation:
    """What is done before and beside the training of a pruned network."""

    repair: bool
    """Whether training starts from the repaired network, not from the cut one."""
    teacher: bool
    """Whether the unpruned network teaches the pruned one."""


def preparation(
    model: nn.Module,
    pruned: bool,
    options: Mapping[str, Any],
    resume: Mapping[str, Any] | None = None,
) -> tuple[Preparation, dict[str, Any]]:
    """Take `repair` and `teacher` out of a run's options; return them and the other options.

    Where they are not given, a pruned network is repaired, and taught unless some of the unpruned
    `model`'s weights are random, so that it knows nothing yet. A run that began before there were
    teachers goes on without one: `resume` says so.

    Raises:
        InvalidValueError: One of them is neither True nor False.
    """
    left = dict(options)
    taught = pruned and knows_its_classes(model)
    if resume is not None:
        taught = dict(resume["settings"]).get("teacher") is not None
    chosen = {
        name: instance(name, left.pop(name, usual), bool, "write True or False")
        for name, usual in (("repair", pruned), ("teacher", taught))
    }
    return Preparation(chosen["repair"] and pruned, chosen["teacher"]), left


def knows_its_classes(model: nn.Module) -> bool:
    """Whether a network has anything to teach: none of its weights are random, as far as known."""
    from pruneviz.catalog import describe_model

    try:
        return not describe_model(model).needs_fine_tuning
    except InvalidValueError:  # a network from elsewhere: its owner trained it
        return True

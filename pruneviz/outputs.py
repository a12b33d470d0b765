"""What networks return: a tensor, several, a dict, or an object that holds the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pruneviz.errors import DataError


def tensors(output: Any) -> list[Tensor]:
    """All tensors of an output, in order: auxiliary heads after the main one."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        output = list(output.values())
    elif not isinstance(output, (tuple, list)):
        output = list(getattr(output, "__dict__", {}).values())
    return [tensor for part in output if part is not None for tensor in tensors(part)]


def logits(output: Any) -> Tensor:
    """(N, classes) of the main classifier: the output named `logits`, else the first tensor."""
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else None
    named = getattr(output, "logits", None) if named is None else named
    return named if isinstance(named, Tensor) else tensors(output)[0]


def class_logits(
    output: Any, classes: int, *, exact: bool = False, data: str = "", network: str = "network"
) -> Tensor:
    """(N, K) logits of the main classifier, K at least `classes`; just as many where `exact`.

    `data` names the data set, and `network` what gave the output, in the error's text.

    Raises:
        DataError: The output has another shape, or too few columns.
    """
    scores = logits(output)
    columns = scores.shape[1] if scores.ndim == 2 else -1
    if columns < classes or (exact and columns != classes):
        of = f" of '{data}'" if data else ""
        raise DataError(
            f"The {network} must give one output for each of the {classes} classes{of}, but its "
            f"output has the shape {tuple(scores.shape)}; load it with num_classes={classes} and "
            "fine-tune it first."
        )
    return scores


def heads(output: Any) -> list[Tensor]:
    """The logits of the main classifier, then of the auxiliary ones that some have in training."""
    if isinstance(output, (Tensor, tuple, list)):
        return tensors(output)
    return [logits(output)]

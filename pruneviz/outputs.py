"""What networks give: a tensor, several, a dict, or an object that holds the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


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
    """(N, classes) of the main classifier: what is called `logits`, else the first tensor."""
    if isinstance(output, Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else None
    named = getattr(output, "logits", None) if named is None else named
    return named if isinstance(named, Tensor) else tensors(output)[0]


def heads(output: Any) -> list[Tensor]:
    """The logits of the main classifier, then those of the auxiliary ones that training has."""
    if isinstance(output, (Tensor, tuple, list)):
        return tensors(output)
    return [logits(output)]

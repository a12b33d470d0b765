"""The line of code that recreates one of torch's own modules."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

_ABSENT = inspect.Parameter.empty
_PLACES = ("device", "dtype")


def constructor(module: nn.Module) -> str | None:
    """`nn.Conv2d(3, 16, kernel_size=3, bias=False)`, or None for a module that is not torch's own.

    Default arguments are left out. A module whose arguments cannot be read from it, that has hooks,
    or whose class only derives from torch's, is not recreated as a whole: its parts are.
    """
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.modules.") or getattr(nn, kind.__name__, 0) != kind:
        return None
    if isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        return None
    written: list[str] = []
    named = False
    for parameter in _parameters(kind):
        name, default = parameter.name, parameter.default
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            return None
        if name in _PLACES:
            continue
        value = _argument(module, name, default)
        if value is _ABSENT:
            return None
        if default is not _ABSENT and _same(value, default):
            named = True  # what follows needs its name
            continue
        text = literal(value)
        if text is None:
            return None
        plain = default is _ABSENT and not named and parameter.kind != parameter.KEYWORD_ONLY
        written.append(text if plain else f"{name}={text}")
    return f"nn.{kind.__name__}({', '.join(written)})"


def literal(value: Any) -> str | None:
    """A plain value as code; None if it cannot be written."""
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return str(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(int(value) if type(value) is not bool and isinstance(value, int) else value)
    if isinstance(value, (tuple, list)):
        items = [literal(item) for item in value]
        if None in items:
            return None
        inner = ", ".join(str(item) for item in items)
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(items) == 1 else f"({inner})"
    return None


def _parameters(kind: type[nn.Module]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(kind).parameters.values())


def _argument(module: nn.Module, name: str, default: Any) -> Any:
    """The argument that the module was given, if it kept it; otherwise the default."""
    value = getattr(module, name, default)
    if isinstance(value, Tensor) or (name == "bias" and (value is None or default is True)):
        return getattr(module, name) is not None
    if name == "padding" and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    short = name in ("kernel_size", "stride", "dilation") and isinstance(value, tuple)
    if short and len(set(value)) == 1 and name != "stride":
        return value[0]
    if short and len(set(value)) == 1:
        return value[0]
    if name == "stride" and default is None and value == getattr(module, "kernel_size", None):
        return None  # pooling: the stride is the window unless given
    return value


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, tuple) and not isinstance(default, tuple):
        return bool(value) and all(item == default for item in value)
    return bool(value == default)

"""One recorded call as a Python expression."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from pruneviz.errors import ExportError
from pruneviz.export.plain.parts import literal
from pruneviz.export.plain.record import BatchSize, Op, Stored, Value, values

Naming = Callable[[Value | Stored], str]

_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "matmul": "@",
    "truediv": "/",
    "floordiv": "//",
    "pow": "**",
}
_TRAINING = {"torch.batch_norm": 5, "torch.dropout": 2, "torch.feature_dropout": 2}
"""Position of the argument `training` in built-in functions."""


def expression(op: Op, name: Naming) -> str:
    """`torch.cat([x, y], 1)`, `x + y`, `x[:, ::2]`, `x.flatten(1)`.

    Raises `ExportError` if the function has no public name, or an argument no literal.
    """
    args, kwargs = _given(op, name)
    short = op.name.rsplit(".", 1)[-1]
    if op.name.endswith(".__get__"):
        return f"{args[0]}.{op.name.split('.')[-2]}"
    if op.name.startswith(("torch.Tensor.", "torch._C.TensorBase.", "torch._C._TensorBase.")):
        return _method(op, short, args, kwargs, name)
    full = _public(op)
    training = _TRAINING.get(full)
    if training is not None and training < len(args) and args[training] == "False":
        args[training] = "self.training"
    if full in _SYMBOLS and len(args) == 2 and not kwargs:
        return f"{args[0]} {_SYMBOLS[full]} {args[1]}"
    return f"{full}({', '.join([*args, *kwargs])})"


def arguments(op: Op, name: Naming) -> str:
    """Only the arguments of a call: `x, size=(7, 7)`."""
    args, kwargs = _given(op, name)
    return ", ".join([*args, *kwargs])


def _given(op: Op, name: Naming) -> tuple[list[str], list[str]]:
    return [_argument(item, op, name) for item in op.args], _keywords(op, name)


_SYMBOLS = {f"torch.{word}": sign for word, sign in _BINARY.items()}


def _method(op: Op, short: str, args: list[str], kwargs: list[str], name: Naming) -> str:
    if short == "__getitem__":
        return f"{args[0]}[{_index(op.args[1], op, name)}]"
    if short == "__setitem__":
        return f"{args[0]}[{_index(op.args[1], op, name)}] = {args[2]}"
    word = short.strip("_")
    in_place = short.startswith("__i") and word[1:] in _BINARY
    if in_place and len(args) == 2:
        return f"{args[0]}.{_in_place(word[1:])}({args[1]})"
    plain = not kwargs and len(args) == 2
    if plain and word in _BINARY and (short == word or short.startswith("__")):
        return f"{args[0]} {_BINARY[word]} {args[1]}"
    if plain and word[:1] == "r" and word[1:] in _BINARY and short.startswith("__"):
        return f"{args[1]} {_BINARY[word[1:]]} {args[0]}"
    if word == "neg" and len(args) == 1:
        return f"-{args[0]}"
    if not hasattr(Tensor, short):
        raise _unnamed(op)
    return f"{args[0]}.{short}({', '.join([*args[1:], *kwargs])})"


def _in_place(word: str) -> str:
    return {"truediv": "div_", "floordiv": "floor_divide_"}.get(word, f"{word}_")


def _index(index: Any, op: Op, name: Naming) -> str:
    if isinstance(index, tuple):
        return ", ".join(_index(item, op, name) for item in index) or "()"
    if isinstance(index, slice):
        parts = ["" if x is None else _argument(x, op, name) for x in (index.start, index.stop)]
        step = "" if index.step is None else f":{_argument(index.step, op, name)}"
        return f"{parts[0]}:{parts[1]}{step}"
    return "..." if index is Ellipsis else _argument(index, op, name)


def _keywords(op: Op, name: Naming) -> list[str]:
    written = []
    defaults = _defaults(op.function)
    for key, value in op.kwargs.items():
        if key == "training" and value is False:
            written.append("training=self.training")
            continue
        default = defaults.get(key, inspect.Parameter.empty)
        if type(default) is type(value) and default == value:
            continue
        written.append(f"{key}={_argument(value, op, name)}")
    return written


@lru_cache(maxsize=1024)
def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {key: p.default for key, p in parameters.items()}


def _argument(value: Any, op: Op, name: Naming) -> str:
    if isinstance(value, (Value, Stored)):
        return name(value)
    if isinstance(value, BatchSize):
        size = f"{name(value.of)}.shape[0]"
        text = size if value.factor == 1 else f"{value.factor} * {size}"
        return f"{text} + {value.offset}" if value.offset else text
    if isinstance(value, torch.device):
        at = values((op.args, op.kwargs))
        return f"{name(at[0])}.device" if at else "self.device"
    if isinstance(value, list):
        return f"[{', '.join(_argument(item, op, name) for item in value)}]"
    if isinstance(value, tuple):
        items = [_argument(item, op, name) for item in value]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, slice):
        parts = [_argument(x, op, name) for x in (value.start, value.stop, value.step)]
        return f"slice({', '.join(parts)})"
    written = literal(value)
    if written is None:
        raise ExportError(
            f"Operation '{op.name}' takes a {type(value).__name__}, which plain PyTorch code "
            "cannot express. Replace the operation, or export to another format."
        )
    return written


def _public(op: Op) -> str:
    """The name under which plain code calls the function."""
    short = op.name.rsplit(".", 1)[-1]
    if getattr(functional, short, None) is op.function:
        return f"F.{short}"
    if getattr(torch, short, None) is op.function:
        return f"torch.{short}"
    parts = op.name.split(".")
    if parts[:3] == ["torch", "nn", "functional"] and hasattr(functional, short):
        return f"F.{short}"
    value: Any = torch
    for part in parts[1:] if parts[0] == "torch" else ["_no_such_thing_"]:
        value = getattr(value, part, None)
    if value is None or parts[1] in ("ops", "_ops"):
        raise _unnamed(op)
    return op.name


def _unnamed(op: Op) -> ExportError:
    return ExportError(
        f"Operation '{op.name}' is not one of torch's own, so a file that needs only torch "
        "cannot call it. Replace it with torch's functions, or use another format."
    )

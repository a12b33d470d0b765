"""What each torch operation does to channels: a table from its name to a short handler.

An operation that is not in the table is not followed: the channels that enter it are fixed, with
its name as the reason. So a missing entry costs pruning opportunities, never correctness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pruneviz.trace.flow import Flow


@dataclass(frozen=True)
class Call:
    """One intercepted call: its arguments, its result, and the shadows of its inputs."""

    full: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    inputs: list[Tensor]
    maps: list[Any]
    shadows: list[Tensor | None]

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        if index < len(self.args):
            return self.args[index]
        return self.kwargs.get(name, default)

    @property
    def first(self) -> Tensor:
        """The tensor that the operation is applied to."""
        return self.inputs[0]

    @property
    def shadow(self) -> Tensor | None:
        """The first tensor's shadow."""
        return self.shadows[0] if self.shadows else None

    @property
    def outputs(self) -> list[Tensor]:
        """All tensors of the result."""
        if isinstance(self.out, Tensor):
            return [self.out]
        return [t for t in self.out if isinstance(t, Tensor)] if self.out is not None else []

    @property
    def carries(self) -> bool:
        """Whether any input carries channels."""
        return any(s is not None for s in self.shadows)

    def dims(self, index: int = 1, name: str = "dim") -> list[int] | None:
        """The `dim` argument as non-negative dimensions, None where it was not given."""
        value = self.arg(index, name, self.kwargs.get("axis"))
        if value is None:
            return None
        values = value if isinstance(value, (tuple, list)) else (value,)
        return [int(v) % max(self.first.ndim, 1) for v in values]


Handler = Callable[[Flow, Call], None]
HANDLERS: dict[str, Handler] = {}


def handles(names: str) -> Callable[[Handler], Handler]:
    """Register a handler for the operations of these names."""

    def register(handler: Handler) -> Handler:
        for name in names.split():
            HANDLERS[name] = handler
        return handler

    return register


def unknown(flow: Flow, call: Call) -> None:
    """Not followed: the channels that enter can never be pruned."""
    flow.attention |= "attention" in call.name
    leave(flow, call, f"passes through {call.full}, which PruneViz cannot follow")


def leave(flow: Flow, call: Call, reason: str) -> None:
    """Fix the channels that enter; the results carry none."""
    flow.fix_all(call.inputs, reason)
    for out in call.outputs:
        flow.set_shadow(out, None)

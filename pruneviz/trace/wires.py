"""Which layer's result enters which, and where branches meet: the network's wiring.

Each tensor is known by its *tail*, the layer that was computed last on the way to it. A layer
reads a tail; an addition, a product or a concatenation ties the earlier tails to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from pruneviz.channels import Wire, WireKind

MEETINGS: dict[str, WireKind] = {
    "cat": "concatenates",
    "concat": "concatenates",
    "concatenate": "concatenates",
    "stack": "concatenates",
    "mul": "multiplies",
    "add": "adds",
    "sub": "adds",
}
"""Operations that join branches; another one that reads two counts as adding."""


class Wires:
    """Collects wires while a network runs."""

    def __init__(self) -> None:
        self._tails: Any = WeakTensorKeyDictionary()
        self._order: dict[str, int] = {}
        self._wires: dict[Wire, None] = {}

    @property
    def all(self) -> tuple[Wire, ...]:
        """All wires, in the order in which they were seen."""
        return tuple(self._wires)

    def applies(self, layer: str, read: Tensor, made: Tensor) -> None:
        """A layer reads one tensor and makes another."""
        source = self._tails.get(read)
        self._order.setdefault(layer, len(self._order))
        if source is not None and source != layer:
            self._wires[Wire(source, layer, "reads")] = None
        self._tails[made] = layer

    def passes(self, operation: str, inputs: Iterable[Tensor], made: Iterable[Tensor]) -> None:
        """Any other operation: branches meet in it if its inputs have different tails."""
        tails = {tail for t in inputs if (tail := self._tails.get(t)) is not None}
        if not tails:
            return
        last = max(tails, key=self._order.__getitem__)
        kind = MEETINGS.get(operation, "adds")
        for tail in sorted(tails - {last}, key=self._order.__getitem__):
            self._wires[Wire(tail, last, kind)] = None
        for tensor in made:
            self._tails[tensor] = last

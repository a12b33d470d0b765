"""One way to watch torch calls: what is seen, and how it is numbered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pruneviz.torch_calls import CallWatcher, full_name, tensors_in


class Names(CallWatcher):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, str]] = []

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.seen.append((self.index, full_name(func).rpartition(".")[2]))
        return super().call(func, args, kwargs)


def forward(x: Tensor) -> Tensor:
    return F.relu(nn.Identity()(x) + 1).flatten(1)


def test_functions_operators_and_methods_are_numbered_from_zero_each_time() -> None:
    watcher, x = Names(), torch.zeros(2, 3, 1, 1)
    for _ in range(2):
        with watcher:
            forward(x)
    once = [(0, "add"), (1, "relu"), (2, "flatten")]  # what relu calls inside is not seen
    assert watcher.seen == once * 2
    forward(x)  # closed
    assert len(watcher.seen) == 6


def test_paused_calls_are_neither_seen_nor_counted() -> None:
    x = torch.zeros(2)
    with Names() as watcher:
        x = x + 1
        with watcher.paused():
            x = x * 2
        x = x - 1
    assert [name for _, name in watcher.seen] == ["add", "sub"]
    assert watcher.index == 1
    assert x.tolist() == [1, 1]


def test_what_a_call_returns_is_what_the_network_gets() -> None:
    class Doubled(CallWatcher):
        def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return 2 * super().call(func, args, kwargs)

    x = torch.ones(1)
    with Doubled():
        x = x + 1
    assert x.item() == 4


def test_tensors_in_nested_values_come_in_order() -> None:
    a, b, c = torch.zeros(1), torch.ones(1), torch.ones(2)
    tensors = list(tensors_in(({"x": [a], "y": "text"}, (b, (3, c)))))
    assert [id(t) for t in tensors] == [id(a), id(b), id(c)]

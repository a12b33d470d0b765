"""Eval mode for a while, after which every module is back in its own. Loads without torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import nn


@dataclass
class _Held:
    """Who keeps a module in eval mode: the thread, and the mode in which it was met."""

    by: list[tuple[int, bool]] = field(default_factory=list)


_held: WeakKeyDictionary[nn.Module, _Held] = WeakKeyDictionary()
_lock = threading.Lock()


@contextmanager
def eval_mode(*models: nn.Module) -> Iterator[None]:
    """Put networks in eval mode; on exit, every module is back in the mode it was in.

    Where several threads do so with one network, it stays in eval mode until the last of them ends.
    """
    thread = threading.get_ident()
    modules = {module for model in models for module in model.modules()}
    with _lock:
        for module in modules:
            _held.setdefault(module, _Held()).by.append((thread, module.training))
            module.training = False
    try:
        yield
    finally:
        with _lock:
            for module in modules:
                _let_go(module, thread)


def _let_go(module: nn.Module, thread: int) -> None:
    held = _held[module].by
    mine = max(i for i, (by, _) in enumerate(held) if by == thread)
    _, mode = held.pop(mine)
    if mine < len(held):  # somebody who came later finds the mode that was met here
        held[mine] = held[mine][0], mode
    elif all(by == thread for by, _ in held):
        module.training = mode
    if not held:
        del _held[module]

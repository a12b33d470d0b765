"""How many bytes a value takes, for caches: arrays and tensors exactly, the rest roughly."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def bytes_of(value: object) -> int:
    """Return the bytes of a value and what it holds, each object once.

    Modules count with their parameters and buffers; tensors with what they keep alive, which may be
    more than they show. Without torch: what has a storage says so itself.
    """
    return _bytes(value, set())


def _bytes(value: Any, seen: set[object]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if hasattr(value, "untyped_storage"):
        storage = value.untyped_storage()
        name = ("storage", storage.data_ptr())
        known = name in seen
        seen.add(name)
        return 0 if known else int(storage.nbytes())
    if hasattr(value, "state_dict") and hasattr(value, "modules"):
        tensors = [*value.parameters(), *value.buffers()]
        return sum(_bytes(tensor, seen) for tensor in tensors)
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    own = sys.getsizeof(value, 0)
    if is_dataclass(value) and not isinstance(value, type):
        return own + sum(_bytes(getattr(value, f.name), seen) for f in fields(value))
    if isinstance(value, Mapping):
        return own + sum(_bytes(part, seen) for pair in value.items() for part in pair)
    if isinstance(value, (tuple, list, set, frozenset)):
        return own + sum(_bytes(part, seen) for part in value)
    return own

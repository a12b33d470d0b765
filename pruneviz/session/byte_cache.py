"""A cache that is bounded by bytes, not by entries: what was used least recently goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """Values by key, as many as fit in `limit` bytes; the newest always stays.

    Threads that ask for the same missing value wait for the one that computes it.

    Args:
        limit: Bytes that the values may take together.
        size: Bytes that a value takes.
    """

    def __init__(self, limit: int, size: Callable[[V], int]) -> None:
        self.limit = limit
        self._size = size
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._computing: dict[K, Future[V]] = {}
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the values take together."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def items(self) -> list[tuple[K, V]]:
        """What is kept now, the value that would go first in front."""
        with self._lock:
            return [(key, value) for key, (value, _) in self._values.items()]

    def get(self, key: K) -> V | None:
        """Return what is kept; None if it is not, or no longer."""
        with self._lock:
            return self._look(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value, and let go of the oldest until all fit."""
        with self._lock:
            self._keep(key, value)

    def compute(self, key: K, work: Callable[[], V]) -> V:
        """Return what is kept, or what `work` returns; an error of `work` is not kept."""
        with self._lock:
            value = self._look(key)
            if value is not None:
                return value
            other = self._computing.get(key)
            mine: Future[V] = Future()
            if other is None:
                self._computing[key] = mine
        if other is not None:
            return other.result()
        try:
            value = work()
        except BaseException as error:
            with self._lock:
                del self._computing[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._keep(key, value)
            del self._computing[key]
        mine.set_result(value)
        return value

    def _look(self, key: K) -> V | None:
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def _keep(self, key: K, value: V) -> None:
        _, before = self._values.pop(key, (None, 0))
        size = self._size(value)
        self._values[key] = (value, size)
        self._bytes += size - before
        while self._bytes > self.limit and len(self._values) > 1:
            _, (_, freed) = self._values.popitem(last=False)
            self._bytes -= freed

"""Short computations that must not hold up a screen: asked for by key, answered when done.

What takes seconds (an accuracy, a picture of a filter) runs in a few threads and is shared by all
who look at the same network; what takes minutes is a run, see `pruneviz.jobs`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pruneviz.errors import PruneVizError
from pruneviz.session.byte_cache import ByteCache
from pruneviz.session.sizes import bytes_of

T = TypeVar("T")

KEPT_BYTES = 256 << 20
"""What answers may take together."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What is known so far: a value, an error's sentence, or neither yet."""

    value: T | None = None
    error: str | None = None

    @property
    def state(self) -> Literal["pending", "ready", "failed"]:
        """Whether there is a value, will be none, or may still be one."""
        if self.error is not None:
            return "failed"
        return "pending" if self.value is None else "ready"

    @property
    def ready(self) -> bool:
        """Whether asking again would change nothing."""
        return self.state != "pending"


class Background:
    """Computes each thing once, keeps answers up to `limit` bytes, drops what nobody waits for.

    A question with an `owner` replaces the owner's earlier question if that has not been begun:
    of many slider positions only the last is measured.
    """

    def __init__(self, workers: int = 1, limit: int = KEPT_BYTES) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="pruneviz")
        self._done: ByteCache[Hashable, Answer[object]] = ByteCache(limit, bytes_of)
        self._open: dict[Hashable, Future[None]] = {}
        self._owners: dict[Hashable, dict[str, None]] = {}
        self._lock = threading.Lock()

    def ask(self, key: Hashable, work: Callable[[], T], *, owner: str | None = None) -> Answer[T]:
        """Return what is known about `key`; begin to work on it if nothing is."""
        with self._lock:
            known = self._done.get(key)
            if known is not None:
                return known  # type: ignore[return-value]
            if owner is not None:
                self._replace(owner, key)
            if key not in self._open:
                self._open[key] = self._pool.submit(self._run, key, work)
            return Answer()

    def look(self, key: Hashable) -> Answer[object]:
        """Return what is known about `key` without asking for it."""
        return self._done.get(key) or Answer()

    def wait(self, key: Hashable, timeout: float = 60) -> Answer[object]:
        """Wait until `key` is answered, for notebooks, scripts and tests."""
        with self._lock:
            future = self._open.get(key)
        if future is not None:
            future.result(timeout)
        return self.look(key)

    def pending(self, owner: str) -> bool:
        """Whether a question of this owner is still open."""
        with self._lock:
            return any(owner in owners for owners in self._owners.values())

    def _replace(self, owner: str, key: Hashable) -> None:
        """Withdraw the owner's other questions that nobody else asked and that were not begun."""
        self._owners.setdefault(key, {})[owner] = None
        for other in [k for k, owners in self._owners.items() if owner in owners and k != key]:
            self._owners[other].pop(owner)
            future = self._open.get(other)
            if not self._owners[other] and future is not None and future.cancel():
                del self._owners[other], self._open[other]

    def _run(self, key: Hashable, work: Callable[[], object]) -> None:
        try:
            answer: Answer[object] = Answer(work())
        except PruneVizError as error:
            answer = Answer(error=str(error))
        except Exception as error:  # a page shows it and goes on
            answer = Answer(error=f"{type(error).__name__}: {error}")
        with self._lock:
            self._done.put(key, answer)
            self._open.pop(key, None)
            self._owners.pop(key, None)

"""The records' last answers, for while another program keeps them locked."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pruneviz.errors import StorageError
from pruneviz.jobs.patience import PASSING

T = TypeVar("T")
KEPT = 256  # answers
REST = 3.0  # seconds in which the records are not asked again after they did not answer


class LastKnown:
    """Answers from the records, or with their last answer while they cannot be read."""

    def __init__(self) -> None:
        self.trouble: StorageError | None = None
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._rest_until = 0.0
        self._lock = threading.Lock()

    def ask(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what `read` returns, or what it returned last under this key.

        Raises:
            StorageError: the records cannot be read, and were not under this key.
        """
        with self._lock:
            known = key in self._answers
            if known and time.monotonic() < self._rest_until:
                answer: T = self._answers[key]
                return answer
        try:
            answer = read()
        except PASSING as error:
            with self._lock:
                self.trouble, self._rest_until = error, time.monotonic() + REST
                if key not in self._answers:
                    raise
                kept: T = self._answers[key]
                return kept
        with self._lock:
            self.trouble = None
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        return answer

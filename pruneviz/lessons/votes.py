"""What a class predicts: how many chose each answer, and nobody's name."""

from __future__ import annotations

import threading
from collections import Counter

MOST = 2000
"""Answers to one question that are kept; a class is smaller, a script may not be."""


class Votes:
    """Answers to the lessons' questions, in memory. Used from several threads.

    Who answered is kept only so that the same visitor counts once; it is never given out.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[str, int], dict[str, int]] = {}
        self._lock = threading.Lock()

    def give(self, lesson: str, step: int, visitor: str, choice: int) -> None:
        """Count a visitor's answer; another one of the same visitor takes its place."""
        with self._lock:
            given = self._given.setdefault((lesson, step), {})
            if visitor in given or len(given) < MOST:
                given[visitor] = choice

    def counts(self, lesson: str, step: int, choices: int) -> tuple[int, ...]:
        """How many chose each of the answers to a question."""
        with self._lock:
            counted = Counter(self._given.get((lesson, step), {}).values())
        return tuple(counted[i] for i in range(choices))

    def clear(self, lesson: str) -> None:
        """Forget the answers of a lesson: the next class begins."""
        with self._lock:
            for place in [place for place in self._given if place[0] == lesson]:
                del self._given[place]

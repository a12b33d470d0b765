"""One person's work: a history for each subject, and the plan in hand."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pruneviz.session.decisions import Change, Decisions, Subject
from pruneviz.session.history import History

if TYPE_CHECKING:
    from pruneviz.session.workbench import PlanCost, Workbench

PASSING_SECONDS = 1.5
"""A slider that moves on within this time has only passed through where it was."""


class Benches(Protocol):
    """Where a session finds what is loaded; see `Workbenches`."""

    def get(self, subject: Subject) -> Workbench:
        """Return the loaded subject."""
        ...


class Session:
    """What a person works on. A step that would break the network is refused and not taken.

    A moved slider takes one way: `take` makes the plan and its cost, and who draws reads `in_hand`.

    Args:
        workbenches: Where loaded subjects are found.
        subject: What to begin with.
        clock: Tells seconds; for tests.
    """

    def __init__(
        self,
        workbenches: Benches,
        subject: Subject | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        subject = Subject() if subject is None else subject
        self.visitor = uuid.uuid4().hex[:12]
        self._workbenches = workbenches
        self._histories = {subject: History.begin(subject)}
        self._history = self._histories[subject]
        self._in_hand: PlanCost | None = None
        self._clock = clock
        self._last_move: tuple[str, str, float] | None = None

    @property
    def history(self) -> History:
        """The history of the subject in hand."""
        return self._history

    @property
    def subject(self) -> Subject:
        """The network and the data under study."""
        return self._history.subject

    @property
    def decisions(self) -> Decisions:
        """The decisions that hold."""
        return self._history.decisions

    @property
    def workbench(self) -> Workbench:
        """The subject, loaded."""
        return self._workbenches.get(self.subject)

    @property
    def in_hand(self) -> PlanCost:
        """The plan that follows from the decisions, and its cost; made once a step."""
        if self._in_hand is None:
            self._in_hand = self.workbench.plan_at(self.decisions)
        return self._in_hand

    def take(self, change: Change, *, slider: str | None = None) -> None:
        """Take a step; what a slider only passes through on its way is none.

        Args:
            change: New decisions, and the step's name.
            slider: Names the slider that was moved, if one was.

        Raises:
            PlanError: The plan would break the network; nothing has changed then.
        """
        in_hand = self.workbench.plan_at(change[0])
        now = self._clock()
        history = self._history.amend(change) if self._passes(slider, now) else None
        self.adopt(self._history.push(change) if history is None else history)
        self._in_hand = in_hand
        self._last_move = None if slider is None else (slider, self._history.current, now)

    def undo(self) -> None:
        """Go back one step."""
        self.adopt(self._history.undo())

    def redo(self) -> None:
        """Go forward again."""
        self.adopt(self._history.redo())

    def go(self, step: str) -> None:
        """Go to any step of the history, by its digest."""
        self.adopt(self._history.go(step))

    def choose(self, subject: Subject) -> None:
        """Take up another subject, where it was left if it was in hand before."""
        self.adopt(self._histories.get(subject) or History.begin(subject))

    def adopt(self, history: History) -> None:
        """Go on with another history: a stored one, or this one after a step."""
        self._history = self._histories[history.subject] = history
        self._in_hand = None

    def _passes(self, slider: str | None, now: float) -> bool:
        if slider is None or self._last_move is None:
            return False
        last, step, then = self._last_move
        return (last, step) == (slider, self._history.current) and now - then < PASSING_SECONDS

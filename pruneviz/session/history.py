"""The way to the plan in hand: a tree of named steps, with undo, redo and branches.

Steps are named by what they are (like commits): a digest over the parent and the decisions. The
address of a page carries that name, and a stored step leads back to the beginning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pruneviz.errors import InvalidValueError
from pruneviz.session.decisions import Change, Decisions, Subject

START = "nothing pruned"


@dataclass(frozen=True)
class Step:
    """One decision: where it starts from, what it is called, what holds after it."""

    subject: Subject
    decisions: Decisions
    label: str = START
    parent: str | None = None

    @property
    def digest(self) -> str:
        """The step's name."""
        text = json.dumps(self.to_dict(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping that JSON holds."""
        return {
            "subject": self.subject.to_dict(),
            "decisions": self.decisions.to_dict(),
            "label": self.label,
            "parent": self.parent,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        """Return the step that `to_dict` wrote."""
        return cls(
            subject=Subject.from_dict(values["subject"]),
            decisions=Decisions.from_dict(values["decisions"]),
            label=str(values["label"]),
            parent=values["parent"],
        )


@dataclass(frozen=True)
class History:
    """All steps that were taken with one subject, and the one that holds."""

    steps: Mapping[str, Step]
    """By digest, in the order in which they were first taken."""
    current: str
    forward: Mapping[str, str] = field(default_factory=dict)
    """From a step to the one that redo leads to: the child that was left last."""

    @classmethod
    def begin(cls, subject: Subject, decisions: Decisions | None = None) -> History:
        """Return a history in which nothing has happened yet."""
        root = Step(subject, decisions or Decisions())
        return cls({root.digest: root}, root.digest)

    @property
    def step(self) -> Step:
        """The step that holds."""
        return self.steps[self.current]

    @property
    def subject(self) -> Subject:
        """What the decisions are about."""
        return self.step.subject

    @property
    def decisions(self) -> Decisions:
        """The decisions that hold."""
        return self.step.decisions

    @property
    def root(self) -> Step:
        """The step before all others."""
        return next(step for step in self.steps.values() if step.parent is None)

    def push(self, change: Change) -> History:
        """Take a step; one that changes nothing is not taken."""
        decisions, label = change
        if decisions == self.decisions:
            return self
        step = Step(self.subject, decisions, label, self.current)
        return History(
            {**self.steps, step.digest: step},
            step.digest,
            {**self.forward, self.current: step.digest},
        )

    def amend(self, change: Change) -> History:
        """Take a step in place of the last one, which a hand only passed through.

        A step from which others were taken stays.
        """
        last = self.step
        if last.parent is None or any(s.parent == last.digest for s in self.steps.values()):
            return self.push(change)
        steps = {digest: step for digest, step in self.steps.items() if digest != last.digest}
        forward = {a: b for a, b in self.forward.items() if b != last.digest}
        return History(steps, last.parent, forward).push(change)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step before this one."""
        return self.step.parent is not None

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken from here before."""
        return self.current in self.forward

    def undo(self) -> History:
        """Go back one step; at the beginning, stay."""
        parent = self.step.parent
        if parent is None:
            return self
        return replace(self, current=parent, forward={**self.forward, parent: self.current})

    def redo(self) -> History:
        """Go forward again along the branch that was left last; at its end, stay."""
        return replace(self, current=self.forward.get(self.current, self.current))

    def go(self, digest: str) -> History:
        """Make any step the one that holds; redo then leads along its own branch."""
        if digest not in self.steps:
            raise InvalidValueError(
                f"There is no step '{digest}' in this history of {len(self.steps)} steps; choose "
                "one that is listed."
            )
        forward = dict(self.forward)
        child: Step = self.steps[digest]
        while child.parent is not None:
            forward[child.parent] = child.digest
            child = self.steps[child.parent]
        return replace(self, current=digest, forward=forward)

    def about(self, subject: Subject) -> History:
        """Return the same steps with another subject: the same network and data, found elsewhere.

        Steps are named by what they are, so they have other names then.
        """
        names: dict[str, str] = {}
        steps: dict[str, Step] = {}
        for digest, step in self.steps.items():  # each after its parent
            parent = None if step.parent is None else names[step.parent]
            moved = replace(step, subject=subject, parent=parent)
            names[digest] = moved.digest
            steps[moved.digest] = moved
        forward = {names[a]: names[b] for a, b in self.forward.items()}
        return History(steps, names[self.current], forward)

    def line(self) -> list[Step]:
        """Return the steps from the beginning to the one that holds."""
        steps = [self.step]
        while steps[-1].parent is not None:
            steps.append(self.steps[steps[-1].parent])
        return steps[::-1]

    def tree(self) -> Iterator[tuple[int, Step]]:
        """Yield every step after its parent, with the depth at which branches stand side by side.

        A step that is its parent's only child stands as deep as the parent: depth counts branches.
        """
        children: dict[str | None, list[Step]] = {}
        for step in self.steps.values():
            children.setdefault(step.parent, []).append(step)
        stack = [(0, self.root)]
        while stack:
            depth, step = stack.pop()
            yield depth, step
            below = children.get(step.digest, [])
            for branch, child in reversed(list(enumerate(below))):
                stack.append((depth + (1 if branch > 0 else 0), child))

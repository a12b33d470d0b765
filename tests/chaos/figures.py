"""What is counted: how much was tried, and what became of it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pruneviz.errors import PruneVizError


@dataclass
class Tally:
    """The figures of one or of all scenarios."""

    tried: int = 0
    """Runs that were disturbed, and actions of visitors."""
    ended: int = 0
    """Those that came to the end they should."""
    sentences: int = 0
    """Refusals that a person can read: a `PruneVizError`, or a run's own message."""
    lost: list[str] = field(default_factory=list)
    """Runs, results or rows of history that are gone."""
    others: list[str] = field(default_factory=list)
    """Everything else that went wrong."""
    compared: int = 0
    """Disturbed runs that were held against one that was left in peace."""
    equal: int = 0
    """Those with the same weights, results and history to the last bit."""
    kills: int = 0

    def add(self, other: Tally) -> None:
        """Take another's figures along."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def attempt(self, what: str, action: Callable[[], Any]) -> Any:
        """Do something as a visitor: it works, or a sentence says why not."""
        self.tried += 1
        try:
            found = action()
        except PruneVizError as error:
            self.sentences += 1
            if not str(error).endswith("."):
                self.others.append(f"{what}: no sentence: {error}")
            return None
        except Exception as error:
            self.others.append(f"{what}: {type(error).__name__}: {error}")
            return None
        self.ended += 1
        return found

    @property
    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return not self.lost and not self.others and self.equal == self.compared

    def report(self) -> str:
        """The figures, one a line."""
        return "\n".join(
            [
                *(f"lost: {what}" for what in self.lost),
                *(f"other: {what}" for what in self.others),
                f"tried            {self.tried}",
                f"kills            {self.kills}",
                f"ended            {self.ended}",
                f"clear sentences  {self.sentences}",
                f"others           {len(self.others)}",
                f"lost             {len(self.lost)}",
                f"bit-equal        {self.equal} of {self.compared}",
                f"peak memory      {peak_bytes() / 2**20:.0f} MiB",
            ]
        )


def peak_bytes() -> int:
    """The most memory that this process, or one that it started, has held so far."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who)
    return peak if sys.platform == "darwin" else peak * 1024

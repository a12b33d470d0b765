"""Which runs to list: conditions that the database looks up, however many runs there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pruneviz.jobs.schema import Run
from pruneviz.jobs.views import ACTIVE


@dataclass(frozen=True)
class Which:
    """The runs that meet every condition given; without any, all runs."""

    owner: str | None = None
    parent: str | None = None
    status: str | None = None
    network: str | None = None
    data: str | None = None
    strategy: str | None = None
    kinds: tuple[str, ...] = ()
    """One of these kinds."""
    other_kinds: tuple[str, ...] = ()
    """None of these kinds."""
    active: bool = False
    """Waiting or at work."""
    held: bool = False
    """Held by a worker."""

    def conditions(self) -> list[Any]:
        """Return the conditions of a query."""
        columns = (
            (Run.owner, self.owner),
            (Run.parent, self.parent),
            (Run.status, self.status),
            (Run.network, self.network),
            (Run.data, self.data),
            (Run.strategy, self.strategy),
        )
        conditions: list[Any] = [
            column == wanted for column, wanted in columns if wanted is not None
        ]
        if self.kinds:
            conditions.append(Run.kind.in_(self.kinds))
        if self.other_kinds:
            conditions.append(Run.kind.not_in(self.other_kinds))
        if self.active:
            conditions.append(Run.status.in_(sorted(ACTIVE)))
        if self.held:
            conditions.append(Run.claim.is_not(None))
        return conditions


@dataclass(frozen=True)
class Choices:
    """What the runs on record can be filtered by, in alphabetical order."""

    networks: tuple[str, ...]
    data: tuple[str, ...]
    strategies: tuple[str, ...]

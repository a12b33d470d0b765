"""Which runs to list: conditions that the database looks up, however many runs there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, tuple_
from sqlalchemy.orm import aliased

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
    tag: str | None = None
    kinds: tuple[str, ...] = ()
    """One of these kinds."""
    other_kinds: tuple[str, ...] = ()
    """None of these kinds."""
    active: bool = False
    """Waiting or at work."""
    held: bool = False
    """Held by a worker."""
    one_a_study: bool = False
    """Of the runs of each study, the newest of those that meet the other conditions."""

    def conditions(self) -> list[Any]:
        """Return the conditions of a query."""
        conditions = self._conditions(lambda column: getattr(Run, column))
        if self.one_a_study:
            newer = aliased(Run)
            near = newer.parent == Run.parent, newer.created >= Run.created
            later = tuple_(newer.created, Run.id) > tuple_(Run.created, newer.id)  # as lists stand
            # Through coalesce, so that the runs of the study are looked up and these conditions
            # tested on them; by an index of its own, "done" would be most of a hundred thousand.
            alike = self._conditions(lambda column: func.coalesce(getattr(newer, column), ""))
            conditions.append(~exists().where(*near, later, *alike))
        return conditions

    def _conditions(self, column: Callable[[str], Any]) -> list[Any]:
        equal = ("owner", "parent", "status", "network", "data", "strategy", "tag")
        wanted = {name: getattr(self, name) for name in equal}
        conditions = [column(name) == value for name, value in wanted.items() if value is not None]
        if self.kinds:
            conditions.append(column("kind").in_(self.kinds))
        if self.other_kinds:
            conditions.append(column("kind").not_in(self.other_kinds))
        if self.active:
            conditions.append(column("status").in_(sorted(ACTIVE)))
        if self.held:
            conditions.append(column("claim") > "")
        return conditions


@dataclass(frozen=True)
class Choices:
    """What the runs on record can be filtered by, in alphabetical order."""

    networks: tuple[str, ...]
    data: tuple[str, ...]
    strategies: tuple[str, ...]
    tags: tuple[str, ...]

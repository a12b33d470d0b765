"""Who may do what with runs, where several people share one studio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pruneviz.errors import NotAllowedError
from pruneviz.jobs.listing import Which
from pruneviz.jobs.planned import Planned, all_open
from pruneviz.jobs.quota import Quota, mib

if TYPE_CHECKING:
    from pruneviz.jobs.records import RunStore
    from pruneviz.jobs.views import RunSpec, RunView


@dataclass(frozen=True)
class Visitor:
    """Someone who uses the studio: an anonymous id, and whether the studio is theirs."""

    id: str
    owns_studio: bool = False

    def may_change(self, run: RunView | Planned) -> bool:
        """Tell whether they may cancel, resume, rename or delete a run, or a study."""
        return self.owns_studio or (run.owner is not None and run.owner == self.id)


@dataclass(frozen=True)
class Limits:
    """What one visitor may have at the same time; None: no limit."""

    runs: int | None = None
    """Runs that wait or work; the runs of one study count as one."""
    disk: int | None = None
    """Bytes that their runs and uploads take."""

    def or_else(self, other: Limits) -> Limits:
        """Return these limits, with the other's where these set none."""
        return Limits(
            other.runs if self.runs is None else self.runs,
            other.disk if self.disk is None else self.disk,
        )


class Gate:
    """Decides whether visitors may make the changes that they ask for.

    `who` returns the visitor on whose behalf the calling thread works; `uploads` the bytes that
    their uploads take.
    """

    def __init__(
        self,
        who: Callable[[], Visitor],
        limits: Limits = Limits(),
        uploads: Callable[[Visitor], int] = lambda _: 0,
    ) -> None:
        self._who = who
        self.limits = limits
        self._uploads = uploads
        self.admission = threading.Lock()
        """Held while a run is admitted and recorded, so that two clicks do not both pass."""

    @property
    def visitor(self) -> Visitor:
        """On whose behalf the calling thread works."""
        return self._who()

    def allow(self, what: str, run: RunView | Planned) -> None:
        """Check that the visitor may change a run, or a study.

        Raises:
            NotAllowedError: it is another visitor's.
        """
        if not self._who().may_change(run):
            raise NotAllowedError(
                f"Only the visitor who started a run may {what} it, and '{run.name}' is another "
                "visitor's; ask them, or the studio's owner."
            )

    def admit(self, spec: RunSpec, store: RunStore) -> RunSpec:
        """Return a run as its visitor's own, if they may have one more.

        Raises:
            NotAllowedError: it is queued already, or they have as many as they may.
        """
        visitor = self._who()
        spec = replace(spec, owner=visitor.id or spec.owner)
        mine = store.list(Which(owner=spec.owner)) if spec.owner else ()
        for run in mine:
            if run.active and _same_work(run.spec, spec):
                raise NotAllowedError(
                    f"The same run is already {run.status}, as '{run.name}'; the same settings "
                    "and seed would give the same result. Change something, or wait for it."
                )
        self._room_for(visitor, mine, spec.parent, store)
        return spec

    def readmit(self, run: RunView, store: RunStore) -> None:
        """Check that a run that has ended may continue: its visitor may have one more.

        Raises:
            NotAllowedError: it is another visitor's, or they have as many as they may.
        """
        self.allow("resume", run)
        if not run.active and run.owner is not None:
            self._room_for(self._who(), store.list(Which(owner=run.owner)), run.parent, store)

    def share(self) -> Quota | None:
        """Return how much space the visitor's files may take while their run writes; None: no
        limit.
        """
        visitor, disk = self._who(), self.limits.disk
        if disk is None or visitor.owns_studio:
            return None
        return Quota(disk, self._uploads(visitor))

    def _room_for(
        self, visitor: Visitor, mine: tuple[RunView, ...], parent: str | None, store: RunStore
    ) -> None:
        """Refuse a run beyond a visitor's limit, or any once their share of the disk is used."""
        if visitor.owns_studio:
            return
        under_way = {run.parent or run.id for run in mine if run.active}
        under_way |= _between_rounds(mine, store)
        most, disk = self.limits.runs, self.limits.disk
        if most is not None and len(under_way) >= most and parent not in under_way:
            raise NotAllowedError(
                f"A visitor may have {most} run{'' if most == 1 else 's'} queued or running at "
                f"the same time, and you have {len(under_way)}; wait until one ends, or cancel "
                "one."
            )
        if disk is None:
            return
        taken = self._uploads(visitor) + store.files.size(run.id for run in mine)
        if taken >= disk:
            raise NotAllowedError(
                f"Your runs and uploads take {mib(taken)} of the {mib(disk)} that a visitor may "
                "have here; delete runs that you no longer need."
            )


def _between_rounds(mine: tuple[RunView, ...], store: RunStore) -> set[str]:
    """The studies of some runs that have more to come, though what was begun is done."""
    stuck = {run.parent for run in mine if run.status != "done"}
    parents = {run.parent for run in mine} - stuck
    return {study.id for study in all_open(store.database) if study.id in parents}


def _same_work(one: RunSpec, other: RunSpec) -> bool:
    """Tell whether two runs would do the same, whatever they are called and tagged."""
    a, b = one.to_dict(), other.to_dict()
    for spec in (a, b):
        del spec["name"], spec["tag"]
    return a == b

"""Submitting the later runs of studies, whether or not a page is open."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from pruneviz import logs
from pruneviz.errors import StorageError
from pruneviz.jobs import planned, quota
from pruneviz.jobs.elsewhere import is_own, own_digest
from pruneviz.jobs.listing import Which
from pruneviz.jobs.mirror import Kept
from pruneviz.jobs.planned import DONE, Planned
from pruneviz.jobs.planners import find_planner
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.recovery import lives
from pruneviz.jobs.views import RunSpec, RunView
from pruneviz.jobs.worker import sentence

Give = Callable[[RunSpec, Sequence[RunView]], Mapping[str, Kept] | None]
"""Returns what a run is given of its owner's machine, by the other runs of its study."""


class Planner:
    """Submits the runs of this app's open studies as soon as they may begin, each once.

    A study belongs to the app that kept it; another one takes it over when that app is gone. That
    each run is submitted once does not depend on it: the records refuse a second one.
    """

    def __init__(self, store: RunStore, me: str, give: Give) -> None:
        self.waiting = False
        """Whether a study has runs under way on which others may depend."""
        self._store = store
        self._me = me
        self._give = give
        self._looked: dict[str, frozenset[tuple[str, str]]] = {}
        """By study: the runs and their states that allowed nothing new."""

    def submit(self, lives_elsewhere: Callable[[str], bool]) -> tuple[str, ...]:
        """Record the runs that may begin now; return the ids of those that are to be sent.

        Raises:
            StorageError: records or store do not answer.
        """
        ids: list[str] = []
        waiting = False
        for study in planned.all_open(self._store.database):
            try:
                waiting |= self._advance(study, lives_elsewhere, ids)
            except StorageError:
                self.waiting = True
                raise
            except Exception as error:
                self._note(study, sentence(error))
            else:
                self._note(study, None)
        self.waiting = waiting
        return tuple(ids)

    def _advance(
        self, study: Planned, lives_elsewhere: Callable[[str], bool], ids: list[str]
    ) -> bool:
        """Submit what a study allows; tell whether something of it is under way."""
        runs = self._store.list(Which(parent=study.id))
        active = any(run.active for run in runs)
        states = frozenset((run.id, run.status) for run in runs)
        if self._looked.get(study.id) == states:
            return active
        made = find_planner(study.kind)(study.request)
        specs = made.specs(study.owner or "")
        if not self._is_mine(study, specs, lives_elsewhere):
            return active or all(run.status == "done" for run in runs)
        begun = {run.spec.work for run in runs}
        missing = [s for s in made.ready(self._store, specs, runs) if s.work not in begun]
        for spec in missing:
            run = self._store.create_once(
                spec, planned=True, submitter=self._me, given=self._give(spec, runs)
            )
            if run is not None:
                if study.quota is not None:
                    quota.note(self._store, run.id, quota.Quota(**study.quota))
                logs.event("run queued", run=run.id, owner=run.owner, kind=run.kind)
                ids.append(run.id)
        if not missing:
            self._looked[study.id] = states
            if all(run.status == "done" for run in runs):
                planned.set_status(self._store.database, study.id, DONE)
        return active or bool(missing)

    def _is_mine(
        self, study: Planned, specs: Sequence[RunSpec], lives_elsewhere: Callable[[str], bool]
    ) -> bool:
        if any(is_own(spec) and own_digest() is None for spec in specs):
            return False  # code, which this app was not started with
        if study.submitter == self._me:
            return True
        if study.submitter is not None and lives(study.submitter, lives_elsewhere):
            return False
        return planned.take(self._store.database, study, self._me)

    def _note(self, study: Planned, why: str | None) -> None:
        if study.error == why:
            return
        if why is not None:
            logs.event("study cannot continue", study=study.id, why=why, level=logging.WARNING)
        planned.note_error(self._store.database, study.id, why)

"""The files of runs: a folder each and, where there is an artifact store, their names in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pruneviz.errors import StorageBusyError
from pruneviz.jobs.artifacts import ArtifactStore
from pruneviz.jobs.checkpoints import Checkpoints
from pruneviz.jobs.database import Database
from pruneviz.jobs.files import atomic_write, size_of
from pruneviz.jobs.mirror import GIVEN, Kept, Outgoing, bring
from pruneviz.jobs.schema import Artifact, Run

CHECKPOINT = "checkpoint-"
OWN = Artifact.name.not_like(f"{GIVEN}%")
"""What a run wrote, not what it was given."""


class RunFiles:
    """The files of the runs that a database has on record."""

    def __init__(self, home: Path, database: Database, artifacts: str | None) -> None:
        self._home = home
        self._database = database
        self.artifacts = None if artifacts is None else ArtifactStore(artifacts)
        self.address = artifacts

    def own(self, run_id: str) -> Path:
        """Return the folder in which a worker on this machine has the run's files."""
        return self._home / "runs" / run_id

    def read(self, run_id: str) -> Path:
        """Return a folder with the files of a run as the records know them.

        With a store, this is not the worker's own folder, to which it may be writing.

        Raises:
            StorageError: the store does not answer.
        """
        known = {} if self.artifacts is None else self.known(run_id)
        if self.artifacts is None or not known:  # nor has one that was done before there was one
            return self.own(run_id)
        folder = self._home / "fetched" / run_id
        bring(folder, known, self.artifacts)
        return folder

    def take_over(self, run_id: str) -> None:
        """Restore the folder as the run's last worker left it, on whichever machine that was."""
        if self.artifacts is not None:
            known = self.known(run_id)
            later = any(name.startswith(CHECKPOINT) for name in known)  # than what lies here
            bring(self.own(run_id), known, self.artifacts, alone=later)

    def known(self, run_id: str) -> dict[str, Kept]:
        """Return the files of a run that are in the store, by name."""
        with self._database.reading() as session:
            return _known(session, run_id)

    def given(self, run_id: str) -> dict[str, Kept]:
        """Return what a run was given of its owner's machine, by the names of the records."""
        with self._database.reading() as session:
            return _listed(session, Artifact.run_id == run_id, ~OWN)

    def give(self, session: Session, run_id: str, files: Mapping[str, Kept]) -> None:
        """Record what a new run was given; the files are in the store.

        Raises:
            StorageBusyError: one of them is not, for the store was tidied up just now.
        """
        store = self.artifacts
        if store is None or not all(store.has(kept.digest) for kept in files.values()):
            raise StorageBusyError(
                "The store was tidied up while a file was put there. Start the run again."
            )
        session.add_all(
            Artifact(run_id=run_id, name=name, digest=kept.digest, size=kept.size)
            for name, kept in files.items()
        )

    def has(self, run_id: str, name: str) -> bool:
        """Tell whether a run has a file of that name, without fetching it."""
        there = (self.own(run_id) / name).exists()
        return there or (self.artifacts is not None and name in self.known(run_id))

    def having(self, name: str) -> set[str]:
        """Return the ids of all runs with a file of that name."""
        ids = {path.parent.name for path in self._home.glob(f"runs/*/{name}")}
        if self.artifacts is not None:
            with self._database.reading() as session:
                query = select(Artifact.run_id).where(Artifact.name == name)
                ids |= set(session.scalars(query))
        return ids

    def size(self, run_ids: Iterable[str]) -> int:
        """Return the bytes that the files of some runs take."""
        ids = list(run_ids)
        if self.artifacts is None:
            return sum(size_of(self.own(run_id)) for run_id in ids)
        query = select(func.sum(Artifact.size)).where(Artifact.run_id.in_(ids), OWN)
        with self._database.reading() as session:
            return int(session.scalar(query) or 0)

    def sizes(self, run_ids: Iterable[str]) -> dict[str, int]:
        """Return the bytes that the files of each of some runs take."""
        ids = list(run_ids)
        if self.artifacts is None:
            return {run_id: size_of(self.own(run_id)) for run_id in ids}
        total = select(Artifact.run_id, func.sum(Artifact.size))
        query = total.where(Artifact.run_id.in_(ids), OWN).group_by(Artifact.run_id)
        with self._database.reading() as session:
            known = {run_id: int(size) for run_id, size in session.execute(query)}
        return {run_id: known.get(run_id, 0) for run_id in ids}

    def attach(self, run_id: str, name: str, content: bytes | None) -> None:
        """Give a file to a run that nobody works on, or take it away (None)."""
        path = self.own(run_id) / name
        if self.artifacts is None:
            if content is None:
                path.unlink(missing_ok=True)
            else:
                atomic_write(path, content, below=self._home)
            return
        files = {n: kept for n, kept in self.known(run_id).items() if n != name}
        if content is not None:
            files[name] = Kept(self.artifacts.put(content), len(content))
        with self._database.transaction() as session:
            self._database.hold_artifacts(session)
            _write(session, run_id, files)

    def outgoing(self, run_id: str) -> Outgoing | None:
        """Return what copies a worker's files to the store; None if there is no store."""
        return None if self.artifacts is None else Outgoing(self.own(run_id), self.artifacts)

    def publish(self, run_id: str, outgoing: Outgoing, renew: Callable[[Session], bool]) -> None:
        """Copy what a worker wrote to the store, and record the names.

        `renew` holds the run in the transaction, and tells whether it is still that worker's.

        Tidying up the store locks the records: a file that was deleted before its name was recorded
        is copied again.
        """
        assert self.artifacts is not None
        files = outgoing.put()
        while True:
            with self._database.transaction() as session:
                self._database.hold_artifacts(session)
                if not renew(session):
                    return
                known = _known(session, run_id)
                new = [kept for name, kept in files.items() if known.get(name) != kept]
                if all(self.artifacts.has(kept.digest) for kept in new):
                    _write(session, run_id, files)
                    return
            files = outgoing.put(again=True)

    def done(self, run_id: str) -> None:
        """Delete the checkpoints of a run that is done."""
        Checkpoints(self.own(run_id)).clear()
        if self.artifacts is None:
            return
        mine = Artifact.run_id == run_id, Artifact.name.startswith(CHECKPOINT)
        with self._database.transaction() as session:
            session.execute(delete(Artifact).where(*mine))

    def delete(self, run_id: str) -> None:
        """Remove a run's files here; those in the store go when it is tidied up."""
        shutil.rmtree(self.own(run_id), ignore_errors=True)
        shutil.rmtree(self._home / "fetched" / run_id, ignore_errors=True)


def _known(session: Session, run_id: str) -> dict[str, Kept]:
    return _listed(session, Artifact.run_id == run_id, OWN)


def _listed(session: Session, *where: Any) -> dict[str, Kept]:
    query = select(Artifact.name, Artifact.digest, Artifact.size).where(*where)
    return {name: Kept(digest, size) for name, digest, size in session.execute(query)}


def _write(session: Session, run_id: str, files: Mapping[str, Kept]) -> None:
    """Record the names of a run's files as they are now; a deleted run has none."""
    known = _known(session, run_id)
    if session.get(Run, run_id) is None:
        return
    for name, kept in files.items():
        if known.get(name) != kept:
            session.merge(Artifact(run_id=run_id, name=name, digest=kept.digest, size=kept.size))
    gone = known.keys() - files.keys()
    if gone:
        session.execute(delete(Artifact).where(Artifact.run_id == run_id, Artifact.name.in_(gone)))

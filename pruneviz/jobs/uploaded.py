"""Visitors' uploads in the artifact store, so that every studio of a deployment has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from pruneviz.errors import StorageBusyError
from pruneviz.jobs.artifacts import ArtifactStore
from pruneviz.jobs.database import Database
from pruneviz.jobs.files import make_below
from pruneviz.jobs.inserting import insert_into
from pruneviz.jobs.schema import Upload


@dataclass(frozen=True)
class Uploaded:
    """The uploads that the records list and the store holds.

    Raises:
        StorageError: one of them does not answer, or refuses.
    """

    database: Database
    artifacts: ArtifactStore

    def give(self, path: Path, visitors: Iterable[str]) -> None:
        """Copy a file to the store, and record who uploaded it; both at most once."""
        digest, size = self.artifacts.put_file(path), path.stat().st_size
        rows = [
            {"digest": digest, "name": path.name, "visitor": visitor, "size": size}
            for visitor in visitors
        ]
        with self.database.transaction() as session:
            self.database.hold_artifacts(session)
            if not self.artifacts.has(digest):
                raise StorageBusyError(
                    "The store was tidied up while a file was put there. Upload it again."
                )
            session.execute(insert_into(session, Upload).on_conflict_do_nothing(), rows)

    def fetch(self, beginning: str, path: Path, home: Path) -> bool:
        """Copy the upload of that name whose digest begins so to `path`, below `home`.

        Returns whether there is one.
        """
        query = select(Upload.digest).where(
            Upload.digest.startswith(beginning, autoescape=True), Upload.name == path.name
        )
        with self.database.reading() as session:
            digest = session.scalar(query.limit(1))
        if digest is None:
            return False
        make_below(home, path.parent)
        self.artifacts.fetch(digest, path)
        return True

    def sizes(self, visitor: str) -> dict[str, int]:
        """Return the bytes of a visitor's uploads, by digest."""
        query = select(Upload.digest, Upload.size).where(Upload.visitor == visitor)
        sizes = Counter[str]()
        with self.database.reading() as session:
            for digest, size in session.execute(query):
                sizes[digest] += size
        return dict(sizes)

"""A run's folder and the artifact store: what a worker wrote is copied there, and back.

Every part of PruneViz reads and writes the folder. With a store, its files are copied there after
every write, and the records list them; a reader on another machine first rebuilds the folder from
the store.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pruneviz.errors import StorageError, StorageUnreachableError
from pruneviz.jobs.artifacts import ArtifactStore, digest_of
from pruneviz.jobs.files import DRAFTS, atomic_write

MARK = ".digests"
GIVEN = "given/"
"""Before the names of files in the records that a run was given and has not written."""


@dataclass(frozen=True)
class Kept:
    """A file as the records know it."""

    digest: str
    size: int


class Outgoing:
    """What one worker has copied from its run's folder to the store."""

    def __init__(self, folder: Path, store: ArtifactStore) -> None:
        self._folder = folder
        self._store = store
        self._seen: dict[str, tuple[tuple[int, int], Kept]] = {}

    def put(self, *, again: bool = False) -> Mapping[str, Kept]:
        """Copy what has changed to the store, and return all files by name.

        With `again`, check that each is still there: the store was tidied up meanwhile.

        Raises:
            StorageError: the store refuses or does not answer.
        """
        now: dict[str, tuple[tuple[int, int], Kept]] = {}
        for path in files_in(self._folder):
            name, about = path.relative_to(self._folder).as_posix(), path.stat()
            mark = (about.st_mtime_ns, about.st_size)
            known = self._seen.get(name)
            if known is not None and known[0] == mark and not again:
                now[name] = known
                continue
            content = path.read_bytes()
            now[name] = mark, Kept(self._store.put(content), len(content))
        self._seen = now
        return {name: kept for name, (_, kept) in now.items()}


def files_in(folder: Path) -> list[Path]:
    """Return the files of a run's folder, without what is only half written."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARK and not fnmatch.fnmatch(path.name, DRAFTS)
    )


def bring(
    folder: Path, wanted: Mapping[str, Kept], store: ArtifactStore, *, alone: bool = True
) -> None:
    """Rebuild a run's folder from the store; with `alone`, delete what the records do not list.

    A damaged or missing file is left out: a run continues from the checkpoint before it.

    Raises:
        StorageUnreachableError: the store does not answer.
    """
    there = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    for name in there.keys() - wanted.keys() if alone else ():
        there[name].unlink(missing_ok=True)
    marks = _marks(folder)
    for name, kept in wanted.items():
        path = folder / name
        if name in there and marks.get(name) == (kept.digest, *_mark(path)):
            continue
        if name not in there or digest_of(path.read_bytes()) != kept.digest:
            try:
                atomic_write(path, store.get(kept.digest))
            except StorageUnreachableError:
                raise
            except StorageError:
                path.unlink(missing_ok=True)
                continue
        marks[name] = (kept.digest, *_mark(path))
    lines = [f"{d} {t} {s} {name}\n" for name, (d, t, s) in marks.items() if name in wanted]
    if wanted:
        atomic_write(folder / MARK, "".join(lines).encode())


def _mark(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size


def _marks(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return what was fetched: digest, time and size by name; reading large files again is slow."""
    marks = {}
    try:
        for line in (folder / MARK).read_text().splitlines():
            digest, time, size, name = line.split(" ", 3)
            marks[name] = (digest, int(time), int(size))
    except (OSError, ValueError):
        return {}
    return marks

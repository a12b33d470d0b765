"""A run's folder and the store of artifacts: what the worker wrote goes there, and comes back.

The folder stays what every part of PruneViz reads and writes. With a store, its files are put
there whenever something was written, and the records say which they are; whoever wants to read
them, on another machine, has the folder made like that first.
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


@dataclass(frozen=True)
class Kept:
    """A file as the records know it."""

    digest: str
    size: int


class Outgoing:
    """What one worker has put into the store of its run's folder."""

    def __init__(self, folder: Path, store: ArtifactStore) -> None:
        self._folder = folder
        self._store = store
        self._seen: dict[str, tuple[tuple[int, int], Kept]] = {}

    def put(self, *, again: bool = False) -> Mapping[str, Kept]:
        """Put what has changed into the store, and return all files by name.

        With `again`, look whether each is still there: the store was tidied up meanwhile.

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
    """Make a run's folder like the records say, from the store; `alone`: nothing else stays.

    A damaged or missing file is left out: a run goes on from the checkpoint before it.

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
    """Return what was brought: digest, time and size by name; reading large files takes long."""
    marks = {}
    try:
        for line in (folder / MARK).read_text().splitlines():
            digest, time, size, name = line.split(" ", 3)
            marks[name] = (digest, int(time), int(size))
    except (OSError, ValueError):
        return {}
    return marks

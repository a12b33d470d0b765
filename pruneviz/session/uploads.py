"""Files that visitors uploaded: kept by content, counted by visitor, deleted if nobody uses them.

`uploads/DIGEST/NAME` is a file; beside it lie `.pending` until a network or data set was loaded
from it, and one `.of-VISITOR` for everybody who uploaded it. Where files are kept in a store, an
upload that was loaded is copied there, and every studio finds it by its digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pruneviz.errors import InvalidValueError, NotAllowedError, StorageError
from pruneviz.jobs.files import make_below

if TYPE_CHECKING:
    from pruneviz.jobs.uploaded import Uploaded
    from pruneviz.session.decisions import Subject

PENDING, OF = ".pending", ".of-"
FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True)
class Uploads:
    """The uploads kept in a home folder."""

    home: Path
    shared: Uploaded | None = None
    """Where other studios find them; None: only those with the same home do."""

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.home / "uploads"

    def keep(self, name: str, content: bytes, visitor: str = "", room: int | None = None) -> Path:
        """Keep a file, named by its content, and return where it is.

        `room` is how many bytes more the visitor may have.

        Raises:
            InvalidValueError: it is empty.
            NotAllowedError: it is larger than `room`.
            StorageError: it cannot be written.
        """
        if not content:
            raise InvalidValueError(f"The file '{name}' is empty; upload one that is not.")
        size = f"{len(content) / 2**20:.1f} MiB"
        folder = self.folder / hashlib.sha256(content).hexdigest()[:16]
        path = folder / Path(name).name
        if path.exists():
            self._sign(folder, visitor)
            if not (folder / PENDING).exists():
                self._give(path)
            return path
        if room is not None and len(content) > room:
            raise NotAllowedError(
                f"'{name}' ({size}) is larger than the {max(0, room) / 2**20:.1f} MiB you "
                "have left here; upload a smaller file, or delete runs that you no longer need."
            )
        try:
            make_below(self.home, folder)
            (folder / PENDING).touch()
            draft = path.with_name(path.name + ".part")
            draft.write_bytes(content)
            draft.replace(path)
            self._sign(folder, visitor)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(
                f"'{name}' ({size}) cannot be saved in {folder} ({error.strerror}); free some "
                "disk space, or start PruneViz with another --home."
            ) from error
        return path

    def holds(self, path: str | Path | None) -> bool:
        """Tell whether a path is that of an upload."""
        return path is not None and Path(path).parent.parent == self.folder

    def take_up(self, path: str | Path) -> None:
        """Note that a network or data set was loaded from a file, so that it is kept.

        Raises:
            StorageError: the store does not answer.
        """
        pending = Path(path).parent / PENDING
        if pending.exists():
            self._give(Path(path))
            pending.unlink(missing_ok=True)

    def at_hand(self, subject: Subject) -> Subject:
        """Return the subject with its uploads as files of this machine, fetched if need be.

        What cannot be fetched, because it is in no store, keeps its path.

        Raises:
            StorageError: the store does not answer, or the file there is gone or damaged.
        """
        options = dict(subject.options)
        root = options.get("root")
        if isinstance(root, str):
            options["root"] = self._path_here(root)
        weights = None if subject.weights is None else self._path_here(subject.weights)
        return replace(subject, weights=weights, options=tuple(sorted(options.items())))

    def _path_here(self, path: str) -> str:
        *_, kind, digest, name = ("", "", "", *PurePath(path).parts)
        here = self.folder / digest / name
        if kind != self.folder.name or not re.fullmatch(r"[0-9a-f]{16}", digest):
            return path
        if here.exists() or (self.shared and self.shared.fetch(digest, here, self.home)):
            return str(here)
        return path

    def _give(self, path: Path) -> None:
        if self.shared is not None:
            marks = path.parent.glob(f"{OF}*")
            self.shared.give(path, [m.name.removeprefix(OF) for m in marks] or [""])

    def refuse(self, path: str | Path) -> bool:
        """Delete a file that is no good, unless something was loaded from it before."""
        folder = Path(path).parent
        if not self.holds(path) or not (folder / PENDING).exists():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True

    def taken(self, visitor: str) -> int:
        """Return the bytes that a visitor's uploads take."""
        if not visitor:
            return 0
        sizes: Counter[str] = Counter()
        for mark in self.folder.glob(f"*/{OF}{visitor}"):
            for file in mark.parent.iterdir():
                with contextlib.suppress(OSError):
                    sizes[mark.parent.name] += file.stat().st_size
        if self.shared is not None:  # what they uploaded in other studios counts, too
            for digest, size in self.shared.sizes(visitor).items():
                sizes[digest[:16]] = max(size, sizes[digest[:16]])
        return sizes.total()

    def sweep(self, seconds: float = FORGOTTEN_SECONDS) -> tuple[Path, ...]:
        """Delete what nobody took up for so long; returns the folders that went."""
        old = [
            mark.parent
            for mark in self.folder.glob(f"*/{PENDING}")
            if time.time() - mark.stat().st_mtime > seconds
        ]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return tuple(old)

    @staticmethod
    def _sign(folder: Path, visitor: str) -> None:
        if visitor:
            (folder / f"{OF}{visitor}").touch()
        pending = folder / PENDING
        if pending.exists():
            pending.touch()  # somebody has just asked for it

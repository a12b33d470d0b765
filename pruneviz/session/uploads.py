"""Files that visitors uploaded: kept by content, counted by visitor, deleted if nobody uses them.

`uploads/DIGEST/NAME` is a file; beside it lie `.pending` until a network or data set was loaded
from it, and one `.of-VISITOR` for everybody who uploaded it.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pruneviz.errors import InvalidValueError, NotAllowedError, StorageError
from pruneviz.jobs.files import make_below

PENDING, OF = ".pending", ".of-"
FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True)
class Uploads:
    """The uploads kept in a home folder."""

    home: Path

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
        """Note that a network or data set was loaded from a file, so that it is kept."""
        (Path(path).parent / PENDING).unlink(missing_ok=True)

    def refuse(self, path: str | Path) -> bool:
        """Delete a file that is no good, unless something was loaded from it before."""
        folder = Path(path).parent
        if not self.holds(path) or not (folder / PENDING).exists():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True

    def taken(self, visitor: str) -> int:
        """Return the bytes that a visitor's uploads take."""
        total = 0
        for mark in self.folder.glob(f"*/{OF}{visitor}") if visitor else ():
            for file in mark.parent.iterdir():
                with contextlib.suppress(OSError):
                    total += file.stat().st_size
        return total

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

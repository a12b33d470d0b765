"""Checkpoints that survive a kill at any moment.

A new one is written beside the old one under a temporary name, flushed to disk, and only then
renamed; only after that is the one before the last deleted. Whenever the power fails, the newest
file with a checkpoint's name is complete. Should the disk itself damage it, the previous one is
still there.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pruneviz.jobs.files import DRAFTS, atomic_write

KEEP = 2
_NAME = re.compile(r"checkpoint-(\d{6,})\.pt$")


class Checkpoints:
    """The checkpoints in one run's folder: plain dicts of tensors, numbers, texts and lists.

    `make_room` is called with the number of bytes before they are written; it raises if there is no
    room. With `home`, the folder is made again only below that one.
    """

    def __init__(
        self,
        folder: Path,
        make_room: Callable[[int], None] = lambda _: None,
        home: Path | None = None,
    ) -> None:
        self.folder = folder
        self._home = home
        self._make_room = make_room

    def paths(self) -> list[Path]:
        """Return the files, newest first."""
        paths = [path for path in self.folder.glob("checkpoint-*.pt") if _NAME.match(path.name)]
        return sorted(paths, key=_number, reverse=True)

    def save(self, state: Mapping[str, Any]) -> Path:
        """Write a new checkpoint and keep the one before it.

        Raises:
            StorageError: the disk is full or cannot be written; the older ones are untouched.
        """
        import torch

        before = self.paths()
        path = self.folder / f"checkpoint-{_number(before[0]) + 1 if before else 1:06d}.pt"
        content = io.BytesIO()  # torch.save would hide the reason why a file cannot be written
        torch.save(dict(state), content)
        self._make_room(content.getbuffer().nbytes)
        atomic_write(path, content.getbuffer(), below=self._home)
        for old in before[KEEP - 1 :]:
            old.unlink(missing_ok=True)
        return path

    def tidy(self) -> None:
        """Remove what a killed process left half-written."""
        for partial in self.folder.glob(DRAFTS):
            partial.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all; the run is done."""
        self.tidy()
        for path in self.paths():
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Return the newest checkpoint that can be read; None when there is none."""
        for path in self.paths():
            import torch

            try:
                with zipfile.ZipFile(path) as archive:
                    damaged = archive.testzip()
                if damaged is None:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                    if isinstance(state, dict):
                        return state
            except Exception:  # whatever a damaged file makes the reader raise
                continue
        return None


def _number(path: Path) -> int:
    match = _NAME.search(path.name)
    return int(match.group(1)) if match else 0

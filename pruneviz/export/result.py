"""What was exported, and what each file did in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Check:
    """One file, loaded in a process that cannot import PruneViz, beside the network itself."""

    format: str
    path: Path
    note: str
    """What the file is: opset, sizes that are fixed, how it was quantised."""
    difference: float | None
    """Largest difference of an output, as a fraction of the largest output; None for weights."""
    images: int
    """Images that it was compared on."""
    correct: int | None
    """Of these, the ones that the file itself tells rightly; None without labels."""
    milliseconds: float | None
    """Median time of one image in that process."""

    @property
    def accuracy(self) -> float | None:
        """Top-1 accuracy (0..1) of the file; None without labels."""
        return None if self.correct is None else self.correct / max(self.images, 1)


@dataclass(frozen=True)
class Exported(Mapping[str, Path]):
    """The files of an exported network: a mapping from format to path, with each file's check."""

    files: Mapping[str, Path]
    checks: tuple[Check, ...] = field(repr=False)

    def __getitem__(self, format: str) -> Path:
        return self.files[format]

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def check(self, format: str) -> Check:
        """The check of one format; a `KeyError` for one that was not exported."""
        return {check.format: check for check in self.checks}[format]

    def to_frame(self) -> pd.DataFrame:
        """One row per file: size, difference from the network, accuracy, milliseconds per image."""
        import pandas as pd

        return pd.DataFrame(
            {
                "format": [c.format for c in self.checks],
                "file": [c.path.name for c in self.checks],
                "kB": [_size(c.path) / 1e3 for c in self.checks],
                "difference": [c.difference for c in self.checks],
                "accuracy": [c.accuracy for c in self.checks],
                "images": [c.images for c in self.checks],
                "ms": [c.milliseconds for c in self.checks],
                "note": [c.note for c in self.checks],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The checks as JSON holds them, by format."""
        return {
            c.format: {
                "file": c.path.name,
                "note": c.note,
                "difference": c.difference,
                "images": c.images,
                "accuracy": c.accuracy,
                "milliseconds": c.milliseconds,
            }
            for c in self.checks
        }


def _size(path: Path) -> int:
    beside = [path, path.with_suffix(".pt")] if path.suffix == ".py" else [path]
    if path.is_dir():
        beside = list(path.iterdir())
    return sum(p.stat().st_size for p in beside if p.exists())

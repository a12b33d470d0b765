"""A page of text in the package: a Markdown file that begins with its heading."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class MarkdownPage:
    """The file `name`.md of a folder."""

    folder: ClassVar[Path]
    name: str

    @cached_property
    def text(self) -> str:
        """The whole Markdown."""
        return (self.folder / f"{self.name}.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def body(self) -> str:
        """Its Markdown without the heading."""
        return self.text.partition("\n")[2].strip()

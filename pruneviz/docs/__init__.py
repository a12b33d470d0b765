"""The documentation: a Markdown file a chapter, read in the repository and on the page Help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pruneviz.arguments import one_of

FOLDER = Path(__file__).parent
NAMES = (
    "studio",
    "glossary",
    "networks-and-data",
    "repair",
    "export",
    "command-line",
    "sharing",
    "cluster",
    "lab",
    "benchmarks",
    "architecture",
    "extending",
    "chaos-and-fuzz",
)
_IMAGE = re.compile(r"^!\[([^\]]*)\]\(([\w.-]+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """A picture of a chapter."""

    file: Path
    caption: str


@dataclass(frozen=True)
class Chapter:
    """One page of the documentation."""

    name: str

    @cached_property
    def text(self) -> str:
        """The whole Markdown."""
        return (FOLDER / f"{self.name}.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    def parts(self) -> Iterator[str | Picture]:
        """Its Markdown without the heading and comments, the pictures taken out of it."""
        body = re.sub(r"<!--.*?-->", "", self.text.partition("\n")[2], flags=re.DOTALL)
        text, *rest = _IMAGE.split(body)
        yield text.strip()
        for caption, file, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            yield Picture(FOLDER / file, caption)
            yield after.strip()


def chapters() -> tuple[Chapter, ...]:
    """All chapters, in the order in which they are listed."""
    return tuple(Chapter(name) for name in NAMES)


def chapter(name: str) -> Chapter:
    """The chapter of that name; `UnknownNameError` lists the choices."""
    return Chapter(one_of("chapter", name, NAMES))

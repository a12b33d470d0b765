"""The documentation: a Markdown file a chapter, read in the repository and on the page Help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pruneviz.arguments import one_of
from pruneviz.docs.markdown_page import MarkdownPage

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
class Chapter(MarkdownPage):
    """One page of the documentation."""

    folder = FOLDER

    def parts(self) -> Iterator[str | Picture]:
        """Its Markdown without the heading and comments, the pictures taken out of it."""
        body = re.sub(r"<!--.*?-->", "", self.body, flags=re.DOTALL)
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

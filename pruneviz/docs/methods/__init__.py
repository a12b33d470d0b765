"""How the methods of the papers work: a Markdown file each, shown in the lab and beside a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pruneviz.arguments import one_of
from pruneviz.docs.markdown_page import MarkdownPage

FOLDER = Path(__file__).parent
NAMES = ("taylor", "soft", "binary_search", "genetic", "pretraining_study")


@dataclass(frozen=True)
class Method(MarkdownPage):
    """One method, called like its strategy."""

    folder = FOLDER


def methods() -> tuple[Method, ...]:
    """All methods."""
    return tuple(Method(name) for name in NAMES)


def method(name: str) -> Method:
    """The method of that name; `UnknownNameError` lists the choices."""
    return Method(one_of("method", name, NAMES))

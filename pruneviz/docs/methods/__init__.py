"""How the methods of the papers work: a Markdown file each, shown in the lab and beside a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pruneviz.arguments import one_of

FOLDER = Path(__file__).parent
NAMES = ("taylor", "soft", "binary_search", "genetic", "pretraining_study")


@dataclass(frozen=True)
class Method:
    """One method, called like its strategy."""

    name: str

    @cached_property
    def text(self) -> str:
        """The whole Markdown."""
        return (FOLDER / f"{self.name}.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its heading."""
        return self.text.partition("\n")[0].removeprefix("# ")

    @property
    def body(self) -> str:
        """Its Markdown without the heading."""
        return self.text.partition("\n")[2].strip()


def methods() -> tuple[Method, ...]:
    """All methods."""
    return tuple(Method(name) for name in NAMES)


def method(name: str) -> Method:
    """The method of that name; `UnknownNameError` lists the choices."""
    return Method(one_of("method", name, NAMES))

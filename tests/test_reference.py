"""The reference: every public name is there with its docstring, and nothing is fetched."""

from __future__ import annotations

import inspect
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz.docs import reference


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    written = tmp_path_factory.mktemp("reference")
    reference.build(written)
    return written


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.ids: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        if tag in ("script", "img", "iframe") and values.get("src"):
            self.fetched.append(str(values["src"]))
        if tag == "link" and values.get("rel") != "alternate":
            self.fetched.append(str(values.get("href")))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: Path) -> _Text:
    page = _Text()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_every_public_name_is_told(folder: Path) -> None:
    page = read(folder / "pruneviz.html")
    said = re.sub(r"\W+", " ", " ".join(page.text))
    for name in pv.__all__:
        if name.startswith("__") or name == "errors":
            continue
        assert name in page.ids, name
        first = (inspect.getdoc(getattr(pv, name)) or "").splitlines()[0].split("`")[0]
        assert re.sub(r"\W+", " ", first).strip() in said, name


def test_pages_fetch_nothing_from_elsewhere(folder: Path) -> None:
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == len(reference.PARTS) + 1
    for path in pages:
        assert not [f for f in read(path).fetched if re.match(r"(https?:)?//", f)], path

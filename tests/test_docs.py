"""The README and the documentation: short, whole, their links right, their examples true."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

import pruneviz as pv
from pruneviz import docs

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXTS = (
    README,
    ROOT / "CHANGELOG.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    *sorted(docs.FOLDER.glob("*.md")),
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """The addresses of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}


def test_the_readme_is_for_a_newcomer() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.split()) <= 900
    assert len(re.findall(r"^!\[", text, flags=re.MULTILINE)) == 1
    for mark in ("run", "test"):
        after = text.split(f"<!-- {mark} -->\n")[1]
        assert len(blocks(after, "sh")[0].strip().splitlines()) == 1, "one command"
    notebook = blocks(text, "python")[0].strip().splitlines()
    assert len(notebook) <= 10
    laws = text.split("## Six laws")[1].split("\n## ")[0]
    assert len(re.findall(r"^\d\. ", laws, flags=re.MULTILINE)) == 6


def test_every_chapter_is_a_file_and_is_linked_from_the_readme() -> None:
    assert {p.stem for p in docs.FOLDER.glob("*.md")} == set(docs.NAMES)
    text = README.read_text(encoding="utf-8")
    for chapter in docs.chapters():
        assert chapter.text.startswith("# "), chapter.name
        assert f"(pruneviz/docs/{chapter.name}.md)" in text


@pytest.mark.parametrize("file", TEXTS, ids=lambda p: p.name)
def test_links_lead_somewhere(file: Path) -> None:
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (file.parent / path).resolve() if path else file
        assert there.exists(), f"{file.name}: {target}"
        assert there.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{file.name}: {target}"


@pytest.mark.parametrize("file", TEXTS, ids=lambda p: p.name)
def test_examples_use_public_names(file: Path) -> None:
    for block in blocks(file.read_text(encoding="utf-8"), "python"):
        if block.startswith(">>>"):
            continue
        for node in ast.walk(ast.parse(textwrap.dedent(block))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "pv" or node.attr in pv.__all__, node.attr


def test_pictures_are_taken_out_of_a_chapter() -> None:
    parts = list(docs.chapter("benchmarks").parts())
    pictures = [p for p in parts if isinstance(p, docs.Picture)]
    assert [p.file.name for p in pictures] == ["growth.png"]
    assert all(p.file.exists() for p in pictures)


def test_an_unknown_chapter_is_refused_with_the_choices() -> None:
    with pytest.raises(pv.errors.UnknownNameError, match="glossary"):
        docs.chapter("magic")

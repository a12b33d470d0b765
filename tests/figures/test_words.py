"""Each figure's text alternative tells what a look at it tells: the numbers, not its title."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from plotly import graph_objects as go

import pruneviz.figures
import pruneviz.ui
from pruneviz.figures import style
from pruneviz.figures.words import listed, told
from tests.figures.gallery import FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_in_words_what_it_shows(name: str) -> None:
    piece = FIGURES[name]
    text = told(piece.draw(dark=True))
    plain = text.replace(style.NARROW, " ")
    for part in piece.says:
        assert part in plain, f"{part!r} is not in: {plain}"
    assert re.search(r"\d", plain), plain
    assert "nan" not in plain
    assert len(plain) < 900, "nobody listens to so much"
    assert told(piece.draw()) == text, "the same in light and dark"


def test_no_figure_leaves_without_words() -> None:
    for file in Path(pruneviz.figures.__file__).parent.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_figure"):
                called = {ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
                handed_on = any(n.endswith("_figure") and n != "style.new_figure" for n in called)
                elsewhere = node.name in ("new_figure", "course_figure")  # `Picture.told`
                assert "words.describe" in called or handed_on or elsewhere, node.name


def test_pages_show_pictures_with_a_text_alternative() -> None:
    for file in Path(pruneviz.ui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            assert name != "st.plotly_chart" or file.name == "theme.py", "theme.chart has the words"
            if name.endswith(".image") and name.startswith("st"):
                assert "alt" in {k.arg for k in node.keywords}, f"{file}: {node.lineno}"


def test_the_first_of_many_are_listed() -> None:
    assert listed(["a, 1", "b"]) == "a, 1; b"
    assert listed("abcde") == "a, b, c, d, e"
    assert listed("abcdef") == "a, b, c, d and 2 more"
    assert not listed([])


def test_a_figure_of_somebody_else_has_no_words() -> None:
    assert told(go.Figure()) == ""

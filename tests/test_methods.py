"""How the methods work: short, whole, and true of the code's defaults."""

from __future__ import annotations

import ast
import re

import pytest

from pruneviz.docs.methods import FOLDER, NAMES, Method, methods
from pruneviz.strategies import Strategy, find_strategy
from pruneviz.studies.pretraining_run import STUDY


def strategy_of(method: Method) -> Strategy:
    return STUDY if method.name == STUDY.name else find_strategy(method.name)


def test_every_file_is_listed() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.name)
def test_five_sentences_a_formula_a_comparison_and_what_to_look_for(method: Method) -> None:
    lead = method.body.partition("```")[0].strip()
    assert len(re.findall(r"[.?](?=\s|$)", lead)) == 5, lead
    headings = re.findall(r"^## (.*)$", method.text, flags=re.MULTILINE)
    assert headings == ["Formula", "The paper and PruneViz", "In the picture"]
    formula = method.text.split("## Formula")[1].split("\n## ")[0]
    assert formula.count("$$") == 2
    assert method.text.count("```") == 2, "one schematic"


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.name)
def test_the_defaults_that_it_tells_are_those_of_the_code(method: Method) -> None:
    defaults = strategy_of(method).defaults
    table = [line for line in method.text.splitlines() if line.startswith("|")]
    told = re.findall(r"`(\w+)=([^`]+)`", "\n".join(table))
    assert len(told) >= 4
    for name, value in told:
        assert defaults[name] == ast.literal_eval(value), name

"""One word for one thing: retired words stand in nothing that a person reads."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RETIRED = {
    r"tak(e|es|en|ing) (this|it|its plan|these \w+|them)? ?up\b": "load, or use",
    r"(take|network \d+) up\b": "load, or use",
    r"units dropped": "units pruned, or filters pruned",
    r"^scores compete$": "pruning scope",
    r"^multiples of": "round widths to multiples of",
    r"all groups: ratio": "pruning ratio, whole network",
    r"^how$": "method",
    r"in the charts": "runs shown",
    r"\bdoctor\b": "prunability",
    r"kernels? in colou?r": "weights as RGB",
    r"\b(forget|picks by hand|picked by hand)\b": "clear, or manual picks",
    r"unpickled as code": "loaded as data only",
    r"mini-batches in work": "mini-batches being processed",
    r"\bno numbers?\b(?! (of|from))": "NaN",
    r"plan in hand|\bin hand\b": "current plan",
    r"written and tried": "exported and checked",
    r"\btied\b": "coupled",
    r"\b(units?|filters?|channels?|be|is|are) dropped\b": "pruned",
    r"held against": "compared with",
    r"begun again": "restarted",
    r"\b(made up for by|of the plan before|repaired at once)\b": "refits, previous plan, repaired",
    r"(right after the|as it was) cut\b": "before repair, not repaired",
    r"\b(ms|MACs|folder) an? (image|class)\b": "per image, per class",
    r"goes? (along )?together with\b": "coupled with",
    r"(what chance decided|fell to chance)": "random seeds",
    r"\bnorms re-measured\b": "batch norm recalibrated",
    r"\b(wins? it back|put to the test|without a screen)\b": "recovers, tested, command line",
    r"\b(cannot|not) hold this network\b": "cannot be exported",
    r"\bmay flatter\b": "may be optimistic",
    r"\btorch alone\b": "only torch",
    r"\b(?<!value )taken for\b": "mistaken for, or misclassified",
    r"\bearlier form\b": "earlier version",
    r"\b(goes?|went) alone\b": "one filter removed",
    r"\b(row|bar|curve|mask|dot|line|heading) an? (layer|class|group|image)\b": "per",
    r"\bput back\b": "restore",
    r"\b(begin|begun|began|begins|made|measured|chosen) anew\b": "again, or start over",
    r"\bsomebody's own\b": "a user's own",
}


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """The strings of a file that are not docstrings; what is filled in stands as {}."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    pieces = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings | pieces
        ):
            yield node.lineno, node.value


def read() -> Iterator[tuple[str, str]]:
    """(place, text) of all that is read on a screen or in the documentation."""
    for folder in ("pruneviz", "pages"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for line, text in strings(file):
                yield f"{file.relative_to(ROOT)}:{line}", text
    documents = [ROOT / "README.md", *sorted((ROOT / "pruneviz").rglob("*.md"))]
    documents += [ROOT / ".github" / "CONTRIBUTING.md", *sorted((ROOT / "pruneviz").rglob("*.js"))]
    for file in documents:
        for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{file.relative_to(ROOT)}:{line}", text
    tour = json.loads((ROOT / "pruneviz" / "tour.ipynb").read_text(encoding="utf-8"))
    for number, cell in enumerate(tour["cells"]):
        yield f"tour.ipynb, cell {number}", "".join(cell["source"])


def test_retired_words_stand_nowhere() -> None:
    found = [
        f"{place}: {text.strip()!r}; say {instead}"
        for place, text in read()
        for word, instead in RETIRED.items()
        if re.search(word, text, flags=re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text", ["Take this up", "How", "Doctor", "Forget 1 picks by hand", "cannot be dropped"]
)
def test_a_retired_word_is_found(text: str) -> None:
    assert any(re.search(word, text, flags=re.IGNORECASE) for word in RETIRED)


NAMELESS = {"found", "said", "thing"}
PARTS = ["trace", "replay", "repair", "criteria", "training", "latency", "strategies", "studies"]


def test_variables_of_the_lower_packages_say_what_they_hold() -> None:
    package = ROOT / "pruneviz"
    files = [*package.glob("*.py"), *(f for part in PARTS for f in (package / part).rglob("*.py"))]
    nameless = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id in NAMELESS)
        or (isinstance(node, ast.arg) and node.arg in NAMELESS)
    ]
    assert not nameless, f"{NAMELESS} say nothing: {', '.join(nameless)}"

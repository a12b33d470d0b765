"""The recipes of CONTRIBUTING, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEP = re.compile(
    r"^(?:File `(?P<file>[^`]+)`|In `(?P<edited>[^`]+)`, above `(?P<line>[^`]+)`):\n\n"
    r"```(?:python|text)\n(?P<code>.*?)```",
    re.MULTILINE | re.DOTALL,
)
CHECK = '''
import pruneviz as pv

model = pv.load_model("lenet", num_classes=2)
assert "lenet" in set(pv.models()["name"])
data = pv.load_dataset("stripes")
assert "stripes" in set(pv.datasets()["name"])
assert pv.load_dataset("stripes", size=64).input_shape == (3, 64, 64)
try:
    pv.load_dataset("stripes", root="images")
except pv.errors.UnknownNameError:
    pass
else:
    raise AssertionError("an option that does nothing was accepted")
graph = pv.trace(model, data.input_shape)
scores = pv.rank(model, graph, None, criteria=["peak"]).of("peak")
assert scores[list(graph.prunable_groups[0].units)].min() > 0
events = list(pv.run_strategy("every_other", model, graph, data, epochs=1))
assert events[-1].units_left == sum(g.width for g in graph.prunable_groups) // 2

from pruneviz.ui.frame import navigation
assert ("notes", "Notes", ":material/notes:") in navigation.PAGES

from streamlit.testing.v1 import AppTest

script = """
from pruneviz.ui.frame import navigation
from pruneviz.ui.notes.page import show
navigation.frame("Notes", show)
"""
shown = AppTest.from_string(script).run(timeout=200)
assert not shown.exception, shown.exception
assert "The current plan: nothing pruned" in [m.value for m in shown.markdown], shown.markdown
print("all there")
'''


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with all recipes followed."""
    root = tmp_path_factory.mktemp("contributing")
    for name in ("pruneviz", "pages"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = {r.partition("\n")[0]: list(STEP.finditer(r)) for r in text.split("\n## ")[1:]}
    assert set(recipes) == {
        f"Add a {what}" for what in ("criterion", "strategy", "page", "data set", "network family")
    }
    for title, steps in recipes.items():
        assert steps, title
        for step in steps:
            _follow(root, step)
    return root


def _follow(root: Path, step: re.Match[str]) -> None:
    if step["file"]:
        file = root / step["file"]
        assert not file.exists(), f"{step['file']} is there already"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step["code"], encoding="utf-8")
        return
    file = root / step["edited"]
    source = file.read_text(encoding="utf-8")
    assert source.count(step["line"] + "\n") == 1, f"{step['edited']} has one line {step['line']!r}"
    file.write_text(
        source.replace(step["line"] + "\n", step["code"] + step["line"] + "\n"), encoding="utf-8"
    )


@pytest.mark.sweep
def test_what_the_recipes_add_meets_the_contracts(copied: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", copied)
    shutil.copytree(ROOT / "tests", copied / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(copied), "PRUNEVIZ_HOME": str(tmp_path)}
    folders = ["tests/criteria", "tests/strategies"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *folders, "-k", "peak or every_other"],
        cwd=copied,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert "passed" in ran.stdout


@pytest.mark.sweep
def test_what_the_recipes_add_is_there(copied: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(copied), "PRUNEVIZ_HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=copied,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip().endswith("all there")


def test_what_the_recipes_add_is_well_formed(copied: Path) -> None:
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    shutil.copy(ROOT / "pyproject.toml", copied)
    for verb in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [ruff, *verb, "--no-cache", "."],
            cwd=copied,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout

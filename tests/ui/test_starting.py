"""Several visitors open a studio that has just been started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = """
import sys, threading
from importlib import import_module
from pruneviz.ui.frame import navigation, starting
import torch

names = [name for name, _, _ in navigation.PAGES]
together, failed = threading.Barrier(len(names)), []
sys.setswitchinterval(1e-4)

def visit(name):
    together.wait()
    try:
        starting.import_pages(names)
        import_module(f"pruneviz.ui.{name}.page").show
    except Exception as error:
        failed.append(f"{name}: {error}")

visitors = [threading.Thread(target=visit, args=(name,)) for name in names]
for visitor in visitors: visitor.start()
for visitor in visitors: visitor.join()
print("; ".join(failed) or "all imported")
"""


@pytest.mark.slow
def test_visitors_who_come_at_once_all_have_their_page() -> None:
    """Some had an ImportError of a module that another one was importing."""
    ended = subprocess.run(
        [sys.executable, "-c", TOGETHER], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.strip() == "all imported", ended.stdout + ended.stderr


@pytest.mark.parametrize("script", sorted((ROOT / "pages").glob("*.py")), ids=lambda p: p.stem)
def test_the_scripts_of_pages_leave_the_import_to_the_frame(script: Path) -> None:
    imported = [line for line in script.read_text().splitlines() if "import" in line]
    assert imported == ["from pruneviz.ui.frame import navigation"]
    assert f'"{script.stem}"' in script.read_text()

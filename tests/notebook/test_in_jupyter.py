"""The widget in a real JupyterLab, in a real browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import chromium  # noqa: F401 - the fixture

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.browser]
CODE = """import pruneviz as pv
model, data = pv.load_model("resnet20", weights="digits"), pv.load_dataset("digits")
sliders = pv.explore(model, data)
sliders"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """A JupyterLab with one notebook; yields the notebook's address."""
    nbformat = pytest.importorskip("nbformat")
    jupyterlab = pytest.importorskip("jupyterlab")
    pytest.importorskip("anywidget")
    cells = [CODE, "pv.cost(sliders.graph, sliders.plan)", "print('pruned', len(sliders.plan))"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "sliders.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.token=", "--ServerApp.password=", "--ip=127.0.0.1"]
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                # where the extensions lie, should this venv stand on another one's packages
                "JUPYTER_PATH": str(Path(jupyterlab.__file__).parents[4] / "share" / "jupyter"),
            },
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.5)
        yield f"{address}/lab/tree/sliders.ipynb"
    finally:
        server.terminate()
        server.wait(30)


def test_a_hand_moves_a_slider_and_python_has_the_plan(
    chromium: Any,  # noqa: F811
    lab: str,
    tmp_path: Path,
) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(lab)
    page.get_by_text("pv.explore").first.wait_for()
    page.locator(".jp-NotebookPanel-toolbar").first.wait_for()
    idle = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
    page.locator(idle).wait_for(state="attached")
    cells = page.locator(".jp-CodeCell .cm-content")
    cells.nth(0).click()
    page.keyboard.press("Shift+Enter")
    slider = page.get_by_role("slider", name="Pruning ratio, whole network")
    slider.wait_for()
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.locator(".pv-facts").get_by_text("Accuracy, repaired", exact=True).wait_for()
    page.locator(".pv-point.pv-now").wait_for()
    accuracy = page.locator(".pv-facts b").nth(2).inner_text()
    assert float(accuracy.split()[0]) > 80
    for number in (1, 2):
        cells.nth(number).click()
        page.keyboard.press("Shift+Enter")
    page.get_by_text(re.compile(r"^pruned 160$")).wait_for()
    page.get_by_text("MACs left by layer").wait_for()
    page.locator(".pv-explore").scroll_into_view_if_needed()
    page.screenshot(path=os.environ.get("PRUNEVIZ_SHOT") or str(tmp_path / "sliders.png"))
    context.close()

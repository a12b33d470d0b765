"""`pv.explore` in a real JupyterLab, moved by hand: keys, mouse and what Python then holds."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupyterlab")
pytest.importorskip("anywidget")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

CELLS = (
    "import pruneviz as pv\n"
    "model = pv.load_model('resnet20', weights='digits')\n"
    "sliders = pv.explore(model, pv.load_dataset('digits'))\n"
    "sliders",
    "print('left:', sliders.cost.macs, 'ratio:', sliders.ratio)",
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook in a JupyterLab with settings and a home of its own."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "explore.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    log = tmp_path / "lab.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                *("--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"),
                "--LabApp.news_url=None",
            ],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **own, "OMP_NUM_THREADS": "1"},
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server, log)
        yield f"http://127.0.0.1:{port}/doc/tree/explore.ipynb"
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                assert "version" in json.load(answer)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")


def test_the_sliders_by_key_and_mouse(lab: str, page: Any) -> None:
    page.goto(lab)
    page.locator(".jp-CodeCell").first.click()
    page.keyboard.press("Shift+Enter")
    widget = page.locator(".pv-explore")
    whole = widget.get_by_label("Pruning ratio, whole network")
    whole.focus()
    for key, value in (
        *(("ArrowRight", "1"), ("ArrowUp", "2"), ("ArrowDown", "1"), ("ArrowLeft", "0")),
        *(("PageUp", "10"), ("End", "100"), ("Home", "0"), ("PageUp", "10"), ("ArrowRight", "11")),
    ):
        page.keyboard.press(key)
        assert whole.input_value() == value, f"JupyterLab took {key}"
    shown = widget.locator(".pv-all span")
    _says(shown, "11.0 %")
    _says(widget.locator(".pv-facts"), "repaired")

    # A group's own slider, with the mouse and then by key.
    row = widget.locator(".pv-groups .pv-row").nth(1)
    box = row.locator("input").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    before = int(row.locator("input").input_value())
    assert 40 < before < 60
    page.keyboard.press("ArrowLeft")
    assert int(row.locator("input").input_value()) == before - 1
    _says(row, "of 16")
    assert "pv-own" in row.get_attribute("class")

    # A button and a point by key: the whole network's plan again, and the other.
    _says(widget.locator(".pv-facts"), "repaired")
    widget.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    _says(shown, "11.0 %")
    page.wait_for_function("!document.querySelector('.pv-explore .pv-own')")
    widget.get_by_role("button", name="nothing pruned").focus()
    page.keyboard.press("Enter")
    _says(shown, "0.0 %")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "nothing pruned"

    # Keys that the widget does not use stay the notebook's.
    whole.focus()
    page.keyboard.press("PageUp")
    _says(shown, "10.0 %")
    page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    told = page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    _says(told, "ratio: 0.1")
    macs = int(re.search(r"left: (\d+)", told.inner_text()).group(1))  # type: ignore[union-attr]
    assert f"{float(f'{macs / 1e6:.3g}')}".rstrip("0").rstrip(".") in (
        widget.locator(".pv-facts").inner_text()
    )


def _says(place: Any, text: str) -> None:
    from playwright.sync_api import expect

    expect(place).to_contain_text(text, timeout=60_000)

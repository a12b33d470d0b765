"""The studio as a person meets it: the `pruneviz` command, and Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium under Playwright; skips, with the reason, where there is none.

    Not for the whole session: Playwright holds an event loop that other tests would run into.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("PRUNEVIZ_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not found:
        pytest.skip("needs Chromium: no chromium, chromium-browser or google-chrome on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def studio_at(home: Path, *flags: str) -> Iterator[list[str]]:
    """Serve a studio with a home of its own, started by the command; yields what it printed.

    Fails if there is a traceback in what it printed until its end.
    """
    command = [
        sys.executable,
        "-c",
        "import sys; from pruneviz.commands.main import main; sys.exit(main())",
    ]
    server = subprocess.Popen(
        [*command, "--headless", "--home", str(home), *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    printed: list[str] = []
    for line in server.stdout:
        printed.append(line)
        if "Stop with Ctrl+C" in line:
            break
    else:
        raise AssertionError(f"the studio did not start: {''.join(printed)}")
    try:
        yield printed
    finally:  # also where the test failed: no studio stays behind
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
    said = server.stdout.read()
    assert "Traceback" not in said, said


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a studio that only this machine reaches."""
    with studio_at(tmp_path / "home") as printed:
        found = re.search(r"PruneViz is at (http://\S+)", "".join(printed))
        assert found
        yield found.group(1)


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh visitor."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(90_000)
    opened = context.new_page()
    yield opened
    for sentence in ("hit a bug", "encountered an error"):
        assert not opened.get_by_text(sentence).count(), sentence
    context.close()

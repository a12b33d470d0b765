"""The `pruneviz` command: what it answers at once, and what it says when it cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pruneviz.commands import serve

ROOT = Path(__file__).resolve().parents[2]


def pruneviz(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = "import sys; from pruneviz.commands.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pruneviz.commands.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'streamlit', 'pandas', 'numpy', 'plotly', 'sqlalchemy'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "--headless" in out.stdout
    assert "heavy: []" in out.stdout


def test_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out = pruneviz("--port", str(port), "--host", "127.0.0.1", "--home", str(tmp_path))
    assert out.returncode == 2
    assert out.stderr.strip().splitlines() == [
        f"pruneviz: Port {port} on 127.0.0.1 is taken by another program; choose another with "
        "--port, or leave --port out to get a free one."
    ]


@pytest.mark.parametrize("port", ["0", "70000"])
def test_port_out_of_range(port: str, tmp_path: Path) -> None:
    out = pruneviz("--port", port, "--home", str(tmp_path))
    assert out.returncode == 2
    assert "between 1 and 65535" in out.stderr


def test_foreign_host_is_one_sentence(tmp_path: Path) -> None:
    out = pruneviz("--host", "192.0.2.1", "--home", str(tmp_path))
    assert out.returncode == 2
    assert "address of this machine, but got '192.0.2.1'" in out.stderr


def test_home_that_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    out = pruneviz("--home", str(file), "--headless")
    assert out.returncode == 2
    assert len(out.stderr.strip().splitlines()) == 1
    assert str(file) in out.stderr


def test_first_free_port_is_taken_when_none_is_named() -> None:
    port = serve.choose_port("127.0.0.1", None)
    assert port >= serve.FIRST_PORT
    assert serve.port_is_free("127.0.0.1", port)


def test_tour_is_copied_once(tmp_path: Path) -> None:
    assert pruneviz("tour", str(tmp_path)).returncode == 0
    copied = tmp_path / "pruneviz-tour.ipynb"
    assert copied.stat().st_size > 1000
    again = pruneviz("tour", str(tmp_path))
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert pruneviz("tour", str(tmp_path), "--force").returncode == 0


def test_studio_starts_and_prints_its_address(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "import sys; from pruneviz.commands.main import main; sys.exit(main())"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "--port", str(port), "--home", str(tmp_path), "--headless"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.strip() == f"PruneViz is at http://localhost:{port}"
        for _ in range(100):
            try:
                page = urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5)
                break
            except OSError:
                time.sleep(0.1)
        assert page.status == 200
    finally:
        server.terminate()
        server.wait(timeout=20)

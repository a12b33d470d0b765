"""The files for containers: their commands and variables are ones that PruneViz knows."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pruneviz import docs
from pruneviz.commands.main import build_parser
from tests.test_docs import ROOT

FOLDER = Path(docs.__file__).parent / "containers"
SERVICES = ("studio-a", "studio-b", "scheduler", "worker", "database", "objects", "bucket", "proxy")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with the extra 'cluster'")
    text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)["services"]
    return loaded


def test_pytorch_is_of_the_versions_that_pruneviz_takes() -> None:
    """Else its installation would replace the one without CUDA by another, with CUDA."""
    built = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    (line,) = (line for line in built.splitlines() if "--index-url" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {r for r in project["dependencies"] if re.match(r"torch(vision)?\W", r)}
    assert len(named) == 2
    assert set(re.findall(r'"(torch\w*[^"]*)"', line)) == named


def test_all_parts_are_there(services: dict[str, Any]) -> None:
    assert set(services) == set(SERVICES)
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)


def test_commands_are_understood(services: dict[str, Any]) -> None:
    told = [s["command"] for s in services.values() if s.get("image") == "pruneviz"]
    commands = [shlex.split(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", c)) for c in told]
    assert [c[0] for c in commands].count("pruneviz") == 3
    for program, *arguments in commands:
        if program == "pruneviz":
            build_parser().parse_args(arguments)  # exits where it does not understand


def test_variables_are_read(services: dict[str, Any]) -> None:
    sources = "".join(f.read_text() for f in (ROOT / "pruneviz").rglob("*.py"))
    for service in services.values():
        for name in service.get("environment", {}):
            assert not name.startswith("PRUNEVIZ") or f'"{name}"' in sources


def test_the_proxy_asks_what_the_studio_answers(services: dict[str, Any]) -> None:
    proxy = (FOLDER / "Caddyfile").read_text(encoding="utf-8")
    assert "reverse_proxy studio-a:8501 studio-b:8501" in proxy
    answers = (FOLDER.parent / "cluster.md").read_text(encoding="utf-8")
    for asked in re.findall(r"/\w+z\b", proxy + str(services["studio-a"]["healthcheck"])):
        assert f"`{asked}`" in answers

"""The notebooks for three jobs run from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

import pruneviz
from pruneviz.commands.main import main
from pruneviz.commands.tour import JOBS

FOLDER = Path(pruneviz.__file__).parent / "notebook" / "examples"


def test_there_is_one_for_each_job(tmp_path: Path) -> None:
    assert {p.stem for p in FOLDER.glob("*.ipynb")} == set(JOBS)
    for job in JOBS:
        assert main(["tour", str(tmp_path), "--job", job]) == 0
        assert (tmp_path / f"pruneviz-{job}.ipynb").read_bytes() == (
            FOLDER / f"{job}.ipynb"
        ).read_bytes()


@pytest.mark.sweep
@pytest.mark.timeout(900)
@pytest.mark.parametrize("job", JOBS)
def test_it_runs(job: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(Path(pruneviz.__file__).parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(FOLDER / f"{job}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert sum("<table" in o.get("data", {}).get("text/html", "") for o in outputs) >= 2

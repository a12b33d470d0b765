"""The tour notebook runs from top to bottom, and tells the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

import pruneviz

TOUR = Path(pruneviz.__file__).with_name("tour.ipynb")


@pytest.mark.sweep
def test_the_tour_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    root = str(Path(pruneviz.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", root)  # the checkout's package, installed or not
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for busy cores are slower
    notebook = nbformat.read(TOUR, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(figures) == 4
    text = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "feeds the network's output" in text
    last = float(text.rpartition("loaded again: ")[2].split("%")[0])
    assert last > 90, "half of every group gone, and the accuracy is back after fine-tuning"

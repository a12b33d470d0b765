"""The training loop must not fall behind the usual one: a loose guard, half of the target."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruneviz.catalog.datasets import load_dataset
from tests.benchmarks.bench_training import ours, usual

TARGET = 1.3


@pytest.mark.sweep
def test_fine_tuning_is_not_slower_than_the_usual_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time of one thread, decoding included, so that other work does not count."""
    pixels = np.random.default_rng(0).integers(0, 256, (192, 32, 32, 3), dtype=np.uint8)
    for i, image in enumerate(pixels):
        path = tmp_path / "images" / ("train" if i < 160 else "val") / f"c{i % 10}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "images"

    def seconds_of(way: str) -> float:
        began = time.process_time()
        if way == "usual":
            usual(folder, 0, 2, 32, workers=0)
        else:
            ours(lambda: load_dataset("folder", root=folder, size=32), 0, 2, 32, False)
        return time.process_time() - began

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few validation images
        seconds_of("usual"), seconds_of("ours")  # warm up
        taken = {"usual": 0.0, "ours": 0.0}
        for way in ("usual", "ours", "ours", "usual"):
            taken[way] += seconds_of(way)
    assert taken["usual"] / taken["ours"] > TARGET / 2, taken

"""Commands prepare a folder of images as the weights' authors did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruneviz.catalog import ModelSource
from pruneviz.commands.study import source_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
        for number in range(60):
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    return tmp_path


def test_a_study_prepares_a_folder_as_all_its_weights_want_it(folder: Path) -> None:
    squeeze, res = (ModelSource(n, "imagenet", 2) for n in ("squeezenet1_0", "resnet18"))
    inception, small = ModelSource("inception_v3", "imagenet", 2), ModelSource("vgg16", "digits", 2)
    same = source_of(str(folder), None, [squeeze, res])["options"]
    assert json.loads(same["preprocessing"])["size"] == 224
    other = source_of(str(folder), None, [squeeze, inception])["options"]
    assert "preprocessing" not in other, "299 pixels and 224: as the images are"
    assert "preprocessing" not in source_of(str(folder), None, [small])["options"]
    assert source_of(str(folder), 64, [squeeze])["options"]["size"] == 64

"""Odd images of one's own on every page and view: few, grey, wide; what is said is readable."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruneviz.errors import DataError
from pruneviz.session.decisions import Subject, set_ratio
from pruneviz.ui.explain.page import VIEWS as EXPLAIN
from pruneviz.ui.frame import workbench
from pruneviz.ui.prune.page import VIEWS as PRUNE
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(1200)]

ODD = re.compile(r"\bnan\b|\bNaN\b|\binf\b|Traceback")


def write(root: Path, name: str, count: int, size: tuple[int, int], mode: str = "RGB") -> None:
    noise, (height, width) = np.random.default_rng(0), size
    (root / name).mkdir(parents=True)
    for number in range(count):
        pixels = noise.integers(0, 200, (height, width, 3), dtype=np.uint8)
        pixels[:: 2 if name == "ants" else 3] = 250
        Image.fromarray(pixels).convert(mode).save(root / name / f"{number}.png")


def few(root: Path) -> None:
    write(root, "ants", 5, (40, 40))
    write(root, "zebras", 60, (40, 40))


def grey(root: Path) -> None:
    write(root, "ants", 30, (28, 28), "L")
    write(root, "zebras", 30, (28, 28), "L")


def wide(root: Path) -> None:
    write(root, "ants", 20, (80, 390))
    write(root, "zebras", 20, (80, 390))


@pytest.mark.parametrize("make", [few, grey, wide])
def test_every_page_and_view(studio: Open, tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    root = tmp_path / "images"
    make(root)
    first = sound(studio("choose"))
    session = first.session_state["session"]
    # As wide images come large, they are made small here: it is the pages that are looked at.
    session.choose(
        Subject("resnet20", "digits", None, "folder", (("root", str(root)), ("size", 32)))
    )
    said = {"choose": texts(sound(studio("choose", like=first)))}
    session.take(set_ratio(session.decisions, 0.4))
    for name in ("rank", "sensitivity", "runs", "export", "lab", "lessons"):
        said[name] = texts(sound(studio(name, like=first)))
    for view in PRUNE:
        said[view] = texts(sound(studio("prune", like=first, view=view)))
    for view in EXPLAIN:
        said[view] = texts(sound(studio("explain", like=first, explain=view)))
    odd = {name: ODD.findall(text) for name, text in said.items() if ODD.search(text)}
    assert not odd, odd


def test_one_class_of_one_image_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "images", "ants", 1, (40, 40))
    subject = Subject("resnet20", "digits", None, "folder", (("root", str(tmp_path / "images")),))
    with pytest.raises(DataError, match=r"has one class .'ants'.*add a folder"):
        workbench.bench(subject)

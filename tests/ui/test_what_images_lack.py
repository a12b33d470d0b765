"""What is wrong with images of one's own is said on Choose, where it is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pruneviz.session.decisions import Subject
from tests.ui.conftest import Open
from tests.ui.helpers import sound, texts


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Sixty ants, three bees, and a file that is no image."""
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    for name, count in (("ants", 60), ("bees", 3)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "images" / "ants" / "61.png").write_bytes(b"no image")
    return tmp_path / "images"


@pytest.mark.filterwarnings("ignore:Data set 'folder'")
def test_notes_on_the_images_are_on_choose(studio: Open, images: Path) -> None:
    """A data set's notes were kept, and shown nowhere."""
    page = sound(studio("choose"))
    page.session_state["session"].choose(
        Subject("resnet20", "digits", None, "folder", (("root", str(images)), ("size", 32)))
    )
    said = texts(sound(page.run()))
    assert "Validation has one image only of 'bees'" in said
    assert "1 of 64 images cannot be read: ants/61.png" in said


def test_a_refusal_stands_above_what_was_picked(studio: Open, tmp_path: Path) -> None:
    """Below the button it was under the bar of the plan, out of sight."""
    page = sound(studio("choose"))
    page.selectbox[2].set_value("your own images …").run()
    page.text_input[0].set_value(str(tmp_path / "nowhere")).run()
    next(b for b in page.button if b.label == "Load").click().run()
    (refusal,) = page.error
    assert "There is no folder or zip" in refusal.value
    column = page.columns[0]
    kinds = [element.type for element in column if element.type in ("error", "selectbox")]
    assert kinds[0] == "error", kinds

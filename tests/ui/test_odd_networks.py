"""Networks of one's own that have nothing to prune, or give more than scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ui.conftest import Open
from tests.ui.helpers import sound, start_on, texts

CODE = """
from torch import nn

class Small(nn.Module):
    def __init__(self, filters):
        super().__init__()
        self.conv = nn.Conv2d(3, filters, 3, stride=4)
        self.classifier = nn.Linear(filters, 10)

    def forward(self, x):
        return self.classifier(self.conv(x).relu().mean((2, 3)))

class Two(Small):
    def forward(self, x):
        scores = super().forward(x)
        return scores, 2 * scores

def one_filter():
    return Small(1)

def two_outputs():
    return Two(4)
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Return what starts the process on a network of that file."""
    file = tmp_path / "networks.py"
    file.write_text(CODE)

    return lambda factory: start_on(f"{file}:{factory}", monkeypatch)


def test_pages_about_filters_say_that_none_can_be_pruned(
    studio: Open, start: Callable[[str], object]
) -> None:
    """They showed `IndexError: list index out of range`."""
    start("one_filter")
    for page in (studio("rank"), studio("explain", explain="Remove one filter")):
        assert "No layer of this network can be pruned" in texts(sound(page))


def test_a_network_with_two_outputs_can_be_exported(
    studio: Open, start: Callable[[str], object]
) -> None:
    """The page showed `AttributeError: 'tuple' object has no attribute 'shape'`."""
    start("two_outputs")
    page = sound(studio("export"))
    assert "Everything (zip)" in [b.proto.label for b in page.get("download_button")]

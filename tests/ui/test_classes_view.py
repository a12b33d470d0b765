"""The images whose answer a plan changed, as their captions tell it."""

from __future__ import annotations

from pruneviz.ui.prune.views import answered


def test_an_image_that_is_now_correct_has_a_tick() -> None:
    """It was said to be mistaken for what it shows."""
    names, truth, now = ("cat", "dog"), [0, 1, 1], [1, 1, 0]
    assert answered([0, 1], truth, now, names) == ["cat → dog", "✓ dog"]

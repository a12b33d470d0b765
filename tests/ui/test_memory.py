"""What has come to stay is set aside, without a look at what others are just building."""

from __future__ import annotations

import gc

import pytest

from pruneviz.ui.frame import memory


@pytest.fixture(autouse=True)
def _thawed(monkeypatch):
    monkeypatch.setattr(memory, "_settled", 0, raising=False)
    yield
    gc.unfreeze()


def test_objects_are_counted_and_never_listed(monkeypatch):
    def listed(*_: object) -> None:
        raise SystemError("a list of all objects holds those that another thread builds")

    monkeypatch.setattr(memory.gc, "get_objects", listed)
    memory.settle()
    assert gc.get_freeze_count() > 0


def test_only_much_that_is_new_is_set_aside():
    memory.settle()
    frozen = gc.get_freeze_count()
    memory.settle()
    assert gc.get_freeze_count() <= frozen
    kept = [[number] for number in range(memory.MANY)]
    memory.settle()
    assert gc.get_freeze_count() >= frozen + len(kept) // 2

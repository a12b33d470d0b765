"""Experiments at the size of tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch is one pass, however few the images."""
    monkeypatch.setattr("pruneviz.studies.papers.setting.EPOCH", 1)

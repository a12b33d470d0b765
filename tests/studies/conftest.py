"""Experiments at the size of tests."""

from __future__ import annotations

import pytest

from pruneviz.studies.papers import setting
from tests.strategies.conftest import _trained, data, graph, model

__all__ = ["_trained", "data", "graph", "model"]


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch is one pass, however few the images."""
    monkeypatch.setattr(setting, "EPOCH", 1)

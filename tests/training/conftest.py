"""What the tests of training share."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pruneviz.catalog.digits import load_digits
from pruneviz.data import DataSet
from pruneviz.training import loop

found_device = loop.default_device


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerators do not promise the same sums twice; what is tested here is the arithmetic."""
    monkeypatch.setattr(loop, "default_device", lambda: torch.device("cpu"))


@pytest.fixture(scope="module")
def digits() -> DataSet:
    whole = load_digits()
    return dataclasses.replace(whole, train=whole.train.first(320), val=whole.val.first(100))

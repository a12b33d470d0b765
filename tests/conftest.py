"""What every test shares: quiet torch, caches of its own, and the material beside the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")  # a busy machine is no failure


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors on few cores: one thread is quicker, and results do not depend on a count."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go to a temporary folder, not to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNEVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and weights beside the checkout; skips where there is none."""
    named = os.environ.get("PRUNEVIZ_SHARED")
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(named) if named else beside
    if not (folder / "torch").is_dir():
        pytest.skip(f"needs real data and weights in {folder} (or PRUNEVIZ_SHARED)")
    return folder

"""What completion shows after `pv.`."""

from __future__ import annotations

import pruneviz as pv


def test_dir_shows_public_names_alone() -> None:
    assert dir(pv) == sorted(pv.__all__)
    assert not [name for name in dir(pv) if name.startswith("_") and name != "__version__"]
    assert all(hasattr(pv, name) for name in dir(pv))

"""What a user registers is in the studio's menus."""

from __future__ import annotations

import pytest

import pruneviz as pv
from pruneviz.criteria import registry as criteria_registry
from pruneviz.strategies import registry as strategies_registry
from tests.test_plugins import halving, peak
from tests.ui.conftest import Open
from tests.ui.helpers import find, sound


@pytest.mark.slow
def test_own_criterion_and_strategy_can_be_chosen(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in (criteria_registry, strategies_registry):
        monkeypatch.setattr(registry._REGISTRY, "_added", {})
    pv.register(peak())
    pv.register(halving())
    page = sound(studio("rank"))
    assert "Peak (peak)" in find(page, "criterion", "selectbox").options
    find(page, "criterion", "selectbox").set_value("peak").run()
    assert sound(page).session_state["session"].decisions.criterion == "peak"
    assert "Halving" in sound(studio("runs")).selectbox(key="method").options

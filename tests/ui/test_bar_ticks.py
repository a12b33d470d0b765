"""The bar looks by itself whether an accuracy has been measured."""

from __future__ import annotations

import pytest

from pruneviz.session.decisions import set_ratio
from pruneviz.session.previews import Previews
from tests.ui.conftest import Open
from tests.ui.helpers import sound


@pytest.mark.sweep
def test_the_first_of_several_accuracies_is_shown(
    studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = sound(studio("export"))
    session = page.session_state["session"]
    session.take(set_ratio(session.decisions, 0.3))
    asked = []

    def not_any_more(_previews: Previews, _owner: str) -> bool:
        asked.append(True)
        return len(asked) > 6  # done for a while, with more to come: the page is drawn again

    monkeypatch.setattr(Previews, "pending", not_any_more)
    sound(page.run())
    assert asked

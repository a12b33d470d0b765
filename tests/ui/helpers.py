"""What tests of pages share."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruneviz.catalog import own
from pruneviz.session.decisions import Subject
from pruneviz.session.opening import open_with


def texts(page: AppTest) -> str:
    """Return all that a page says, narrow spaces made plain."""
    parts: list[Any] = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.info]
    parts += [*page.warning, *page.error, *page.success]
    said = [str(p.value) for p in parts] + [str(h.proto.body) for h in page.get("html")]
    return "\n".join(said).replace("\N{NARROW NO-BREAK SPACE}", " ")


def sound(page: AppTest) -> AppTest:
    """Fail if the page shows an exception or an error."""
    assert not page.exception, [e.message for e in page.exception]
    assert not page.error, [e.value for e in page.error]
    return page


def find(page: AppTest, key: str, kind: str = "slider") -> Any:
    """Return the control that goes by that name now (see `state.control`)."""
    return getattr(page, kind)(key=page.session_state["controls"][key].key)


def move(page: AppTest, key: str, value: Any, kind: str = "slider") -> AppTest:
    """Move a control; only its fragment is drawn then, so the page is drawn once more."""
    find(page, key, kind).set_value(value).run()
    return sound(page.run())


def start_on(code: str, monkeypatch: pytest.MonkeyPatch) -> own.OwnNetwork:
    """Start this process on the network that FILE:FACTORY makes, as the command does it."""
    network = own.from_code(code)
    environment: dict[str, str] = {}
    own.hand_over(network, environment)
    open_with(Subject(network.model, network.weights), environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return network

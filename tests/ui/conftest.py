"""A studio in a home of its own, page by page, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pruneviz.session import session

Open = Callable[..., AppTest]
TIMEOUT = 120


def _page(name: str) -> None:
    from importlib import import_module

    from pruneviz.ui.frame import navigation, state

    state.enter(name)
    navigation.frame(name.title(), import_module(f"pruneviz.ui.{name}.page").show)


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return a function that opens a page, on request with the state of another."""
    from pruneviz.ui.frame import services

    shared = (services.home, services.steps, services.votes, services.jobs)
    monkeypatch.setenv("PRUNEVIZ_HOME", str(tmp_path))
    monkeypatch.setattr(session, "PASSING_SECONDS", 0.0)
    for cached in shared:
        cached.clear()
    st.cache_data.clear()  # what another test's page listed within the last minute

    def open_page(name: str, like: AppTest | None = None, **query: str) -> AppTest:
        page = AppTest.from_function(_page, args=(name,), default_timeout=TIMEOUT)
        if like is not None:
            for key in ("session", "address", "layer", "filter", "export_about"):
                if key in like.session_state:
                    page.session_state[key] = like.session_state[key]
        for key, value in query.items():
            page.query_params[key] = value
        return page.run()

    yield open_page
    services.jobs().close()
    for cached in shared:
        cached.clear()

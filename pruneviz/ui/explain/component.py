"""The components of the page Explain: plain JavaScript beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

FOLDER = Path(__file__).parent


def component(name: str) -> Any:
    """Return the component of that name, ready to be shown."""
    html, css, js = _texts(name)
    return st.components.v2.component(f"pruneviz_{name}", html=html, css=css, js=js)


@cache
def _texts(name: str) -> tuple[str, ...]:
    return tuple(
        (FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )

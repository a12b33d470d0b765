"""Presentation mode: type that the last row can read. One key, P, or a link with `?present=1`."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pruneviz.ui.frame import arrival

QUERY = "present"
PRESENTING = "presenting"
SMALLEST = 16
"""Points of the smallest type in a chart."""
TALLER = 1.25

STYLE = """
<style>
html { font-size: 23px !important; }
.pv-bar, .pv-bar .pv-name, .pv-bar .pv-note { font-size: 20px !important; }
.stMainBlockContainer, [data-testid="stBottomBlockContainer"] { max-width: none; }
[data-testid="stImageCaption"], [data-testid="stCaptionContainer"] { font-size: 20px !important; }
[data-testid="stDataFrame"] { zoom: 1.45; }
</style>
"""
"""At 23 px, Streamlit's small type (0.875 rem) has 20 px."""


def now() -> bool:
    """Tell whether the visitor presents."""
    return bool(st.session_state.get(PRESENTING))


def open_presentation() -> None:
    """At the start of a run: obey the address if a person asked for it, and write the style."""
    asked = st.query_params.get(QUERY) == "1"
    if arrival.asked():
        st.session_state[PRESENTING] = asked
    if now() != asked:
        if now():
            st.query_params[QUERY] = "1"
        else:
            st.query_params.pop(QUERY, None)
    if now():
        st.html(STYLE)


def button() -> None:
    """Offer to begin or to end; the key P does the same."""
    st.button(
        "End presentation" if now() else "Present",
        key="present",
        type="tertiary",
        icon=":material/close_fullscreen:" if now() else ":material/present_to_all:",
        help="Larger type, for a projector. Key: P",
        on_click=_toggle,
        shortcut="p",
    )


def _toggle() -> None:
    st.session_state[PRESENTING] = not now()
    arrival.settle()  # what a person asks for now counts, not the address that led here


def enlarged(parts: Any) -> Any:
    """Return a Plotly figure's JSON with no type under `SMALLEST`, and more room for it."""
    layout = parts.setdefault("layout", {})
    larger = _larger(parts)
    layout = larger["layout"]
    layout["font"] = {**layout.get("font", {}), "size": SMALLEST + 2}
    if layout.get("height"):
        layout["height"] = round(TALLER * layout["height"])
    return larger


def _larger(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        made = {k: _larger(v, k) for k, v in value.items()}
        if name.endswith("font") and isinstance(made.get("size"), int | float):
            made["size"] = max(SMALLEST, made["size"])
        return made
    if isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
        return [_larger(v) for v in value]
    return value

"""The page Explain: what the network sees, and what pruning makes of it."""

from __future__ import annotations

import streamlit as st

from pruneviz.ui.explain import attributions, one_filter, one_image, wall
from pruneviz.ui.frame import actions, address, state, workbench
from pruneviz.ui.ribbon import ribbon

VIEWS = {
    "One image": one_image.show,
    "What it looks at": attributions.show,
    "New and fixed errors": wall.show,
    "Remove one filter": one_filter.show,
}


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    loaded = workbench.bench(state.history().subject)
    ribbon.show(loaded)
    address.seed("explain", list(VIEWS))
    view = st.segmented_control(
        "View", list(VIEWS), required=True, key="explain", label_visibility="collapsed"
    )
    address.follow("explain", next(iter(VIEWS)))
    VIEWS[view or next(iter(VIEWS))](loaded)
